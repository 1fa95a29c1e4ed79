"""Self-supervised learning on ARC: object tokens, joint-embedding prediction, one yardstick for every phase."""

__version__ = "0.1.0"
