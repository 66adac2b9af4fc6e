"""Where the program's own files lie, and the one safe way to read arrays from other people's files."""

from pathlib import Path


def asset(name: str) -> Path:
    """Path of a shipped asset, e.g. ``"body/smplx/SMPLX_NEUTRAL.npz"``; from a wheel or a source tree alike."""
    package = Path(__file__).parent
    for root in (package / "_assets", package.parent / "assets"):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"asset {name!r} is missing from the installation")
