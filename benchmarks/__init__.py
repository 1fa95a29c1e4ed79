"""What the project costs, side by side with public peers: `make bench`, or `python -m benchmarks --help`.

One file for each thing measured; `measuring` has the clocks, `jobs` what is measured where, `runner` starts each in a
process of its own, `tables`, `charts` and `pages` write what came of it.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("arcjepa") is None:  # on a machine where it is copied to, and not installed
    sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
