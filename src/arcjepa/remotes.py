"""Where DVC sends data to, by .dvc/config and .dvc/config.local."""

from dataclasses import dataclass
from pathlib import Path

from arcjepa.errors import UserError


@dataclass(frozen=True)
class Remotes:
    """Of a project."""

    urls: dict[str, str]
    """Of every remote, by its name: a folder's path, or something with "://"."""
    default: str | None

    @property
    def absent(self) -> list[str]:
        """Names of those that are folders which are not there; others are not asked, as that may wait for a network."""
        return [name for name, url in self.urls.items() if "://" not in url and not Path(url).is_dir()]


def dvc_remotes(root: Path) -> Remotes:
    """Of the project in `root`.

    Errors: UserError for a configuration that DVC cannot read, or whose default remote is none.
    """
    from dvc.config import Config, ConfigError  # who asks where packages may be missing goes on without it

    try:
        config = Config(str(root / ".dvc"))
    except ConfigError as error:
        raise UserError(f".dvc: {' '.join(str(error).split())}") from None
    urls, default = {name: remote["url"] for name, remote in config["remote"].items()}, config["core"].get("remote")
    if default not in {None, *urls}:
        allowed = ", ".join(sorted(urls)) or "none, as there is no remote"
        raise UserError(f".dvc/config: core.remote is {default!r}; allowed are {allowed}")
    return Remotes(urls, default)
