"""Where DVC sends data to, by .dvc/config and .dvc/config.local."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from arcjepa.asking import check_small
from arcjepa.errors import UserError


@dataclass(frozen=True)
class Remotes:
    """Of a project."""

    urls: dict[str, str]
    """Of every remote, by its name: a folder's path, or something with "://"."""
    default: str | None

    @property
    def closed(self) -> dict[str, OSError]:
        """Why, by name, of those that are folders and cannot be listed; others are not asked, as that may wait for a
        network."""
        found = {}
        for name, url in self.urls.items():
            try:
                if "://" not in url:
                    os.scandir(url).close()
            except OSError as error:
                found[name] = error
        return found


def dvc_remotes(root: Path) -> Remotes:
    """Of the project in `root`.

    Errors: OSError for a configuration that cannot be opened, UserError for one that DVC cannot read, or whose default
    remote is none.
    """
    # Here, as who asks where packages may be missing goes on without them.
    from configobj import ConfigObjError
    from dvc.config import Config, ConfigError
    from voluptuous import Invalid

    for path in (root / ".dvc/config", root / ".dvc/config.local"):
        with suppress(FileNotFoundError):
            check_small(path)
    try:
        config = Config(str(root / ".dvc"))
    # DVC passes on what its readers raise of a value that is no text, such as `url = a, b`, which is a list.
    except (ConfigError, ConfigObjError, Invalid, TypeError) as error:
        raise UserError(f".dvc: {' '.join(str(error).split())}") from None
    urls, default = {name: remote["url"] for name, remote in config["remote"].items()}, config["core"].get("remote")
    if default and default not in urls:
        allowed = ", ".join(sorted(urls)) or "none, as there is no remote"
        raise UserError(f".dvc/config: core.remote is {default!r}; allowed are {allowed}")
    return Remotes(urls, default or None)
