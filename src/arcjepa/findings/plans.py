"""Which phase of params.yaml at which scale a run is: its settings where it names none, and where to change them."""

from collections.abc import Mapping
from typing import Any

from arcjepa.config import Params, from_mapping
from arcjepa.findings.experiments import Experiments
from arcjepa.params import leaves
from arcjepa.settings import Phase


def plan_for(
    name: str, objective: str, settings: Mapping[str, Any], tree: Mapping[str, Any]
) -> tuple[Experiments, Phase]:
    """For the phase or scenario and the scale in `name`, and what params.yaml has for it.

    A phase that params.yaml does not know: the first with the run's objective. A scale that it does not know: the one
    whose settings are most like the run's. What the run had counts where params.yaml differs: that is what is to be
    changed.
    """
    *_, scale, phase, seed = ("", "", "", *name.split("/"))
    ours = seed.startswith("seed")
    known = {
        f"phase {phase}": phase in tree["phases"] or phase in tree.get("scenarios", {}),
        f"scale {scale}": scale in tree["scales"],
    }
    phase_known, scale_known = known.values()
    own = _dotted(settings)
    params = from_mapping({**tree, "scale": scale}) if ours and scale_known else _likest(own, objective, tree)
    if not (ours and phase_known):
        phase = _stand_in(params, objective)
    present = params.phase_settings(phase)
    now = _dotted(present.model_dump())
    strength = now["loss.lambda_sigreg"]
    now |= {"lambda_sigreg": params.lambda_sigreg if strength is None else strength}
    now |= {"data.synthetic.tasks": params.data.synthetic.tasks} | own
    now |= {"lambda_sigreg": own.get("loss.lambda_sigreg", now["lambda_sigreg"])}
    unknown = " and ".join(words for words, is_known in known.items() if ours and not is_known)
    return Experiments(phase, params.scale, tree, now, unknown), present


def _stand_in(params: Params, objective: str) -> str:
    alike = [name for name in params.names if params.phase_settings(name).loss.prediction == objective]
    return (alike or params.names)[0]


def _likest(own: Mapping[str, Any], objective: str, tree: Mapping[str, Any]) -> Params:
    """params.yaml at the scale with most of the run's settings; at its own scale where none has more."""
    scales = [tree["scale"], *(scale for scale in tree["scales"] if scale != tree["scale"])]
    tried = [from_mapping({**tree, "scale": scale}) for scale in (scales if own else scales[:1])]

    def agreement(params: Params) -> int:
        present = _dotted(params.phase_settings(_stand_in(params, objective)).model_dump())
        return sum(own.get(path) == value for path, value in present.items())

    return max(tried, key=agreement)


def _dotted(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {".".join(path): value for path, value in leaves(settings)}
