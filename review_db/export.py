"""Out of the workspace: the paper's data file, SMPL-X parameters per pair, a manifest; and back in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from review_db.records import ExportedPair
from review_db.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an export holds.

    Attributes:
        path: the folder. pairs: number of pairs. skipped: pairs without a fit, by id (only with `all_pairs`).
        files: SHA-256 by file name. body: body models by name with the number of pairs.
        versions: of the programs that wrote it. as_of: time of the latest change in it, UTC.
    """

    path: Path
    pairs: int
    skipped: tuple[int, ...]
    files: Mapping[str, str]
    body: Mapping[str, int]
    versions: Mapping[str, str]
    as_of: str


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export read back, every file checked against the manifest."""

    manifest: Manifest
    pairs: tuple[ExportedPair, ...]


def export(workspace: Workspace, out: Path, *, all_pairs: bool = False) -> Manifest:
    """Write the accepted pairs (or all that have a fit) to the new folder `out`, from one moment's state.

    Per pair ``PAIR_ID.npz`` with the SMPL-X keys (leading axis 2) and K; ``pairs.json``, ``manifest.json`` and
    ``README.md``. The folder appears only when it is complete. Equal data give equal bytes.

    Raises:
        StoreError: `out` exists and is not empty, nothing to export, or the disk refuses.
    """
    raise NotImplementedError


def read_export(path: Path) -> Export:
    """Read an export back and check every hash.

    Raises:
        StoreError: not an export, incomplete, or changed since it was written.
    """
    raise NotImplementedError
