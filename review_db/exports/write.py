"""Writing an export: one snapshot, one pass over its pairs, one folder that appears at the end."""

import json
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from apu.errors import StoreError
from review_db.database import sentences
from review_db.exports.arrays import FORMAT, DataFile, SmplxFiles
from review_db.exports.card import Summary, card
from review_db.exports.folder import appearing, digest, put
from review_db.exports.options import ExportOptions, Form
from review_db.exports.read import Manifest, manifest_of
from review_db.exports.snapshot import Item, Snapshot
from review_db.exports.tables import CsvTables, PairsTable, Writer
from review_db.workspace import Workspace

EXPORT = ExportOptions()


def export(
    workspace: Workspace, out: Path, options: ExportOptions = EXPORT, *, bodies: Callable[[str], Any] | None = None
) -> Manifest:
    """Write what `options` select to the new folder `out`, from one moment's state.

    The folder appears only when it is complete. What an interrupted export leaves, a hidden ``.NAME.partial-*`` beside
    it, the next export to the same place removes.

    Args:
        workspace: is only read.
        out: does not exist, or is empty.
        options: which pairs, in which form.
        bodies: gives the body model of the name that a fit carries; for the forms amass, glb and flickrci3d.

    Raises:
        StoreError: `out` is not empty or lies in the workspace, there is nothing to export, a package or body model is
            missing, or the disk refuses.
    """
    out = Path(out).absolute()
    if out.is_relative_to(workspace.path.absolute()):
        raise StoreError(f"{out} lies in the workspace; choose a folder outside, so that the two stay apart")
    with sentences(out), appearing(out) as folder:
        summary = Summary()
        with workspace.database.read() as connection:
            snapshot = Snapshot(connection, workspace.files, options)
            writers = [PairsTable(folder), _writer(folder, options, bodies)]
            try:
                for item in _that_count(snapshot, options):
                    summary.add(item)
                    for writer in writers:
                        writer.add(item)
            finally:
                for writer in writers:
                    writer.finish()
        if not summary.pairs:
            raise StoreError(f"nothing to export: {_why_nothing(options, snapshot)}")
        manifest = _summarise(summary, options)
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        data = [name for name in names if name.endswith(".parquet")]
        put(folder, "README.md", card(summary, options, manifest["versions"], data).encode())
        manifest["files"] = {name: digest(folder / name) for name in sorted([*names, "README.md"])}
        text = json.dumps(manifest, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True)
        put(folder, "manifest.json", text.encode() + b"\n")
        digest(folder / "manifest.json")
    return manifest_of(out, manifest, skipped=tuple(snapshot.skipped))


def _that_count(snapshot: Snapshot, options: ExportOptions) -> Iterator[Item]:
    """All pairs; for training those whose weight is not 0."""
    for item in snapshot.items():
        if options.form is Form.TRAINING and item.fit is not None:
            if options.weights.of(item.record, item.beside.reviews, kept=item.fit.kept) <= 0:
                snapshot.skipped.append(item.id)
                continue
        yield item


def _writer(folder: Path, options: ExportOptions, bodies: Callable[[str], Any] | None) -> Writer:
    """The writer of a form; what only one form needs is loaded for it alone."""
    images = options.images
    if options.form is Form.APU:
        return DataFile(folder, images=images)
    if options.form is Form.SMPLX:
        return SmplxFiles(folder)
    if options.form is Form.CSV:
        return CsvTables(folder)
    if options.form is Form.WEBDATASET:
        from review_db.exports.shards import Shards

        return Shards(folder, images=images)
    if options.form is Form.COCO:
        from review_db.exports.coco import CocoFiles

        return CocoFiles(folder, images=images)
    if options.form is Form.TRAINING:
        from review_db.exports.training import TrainingFiles

        return TrainingFiles(folder, options.weights)
    if options.form is Form.PARQUET:
        return _parquet(folder, images=images)
    return _posed(folder, options, bodies)


def _parquet(folder: Path, *, images: bool) -> Writer:
    try:
        from review_db.exports.parquet import ParquetFiles
    except ImportError as error:
        raise StoreError("Parquet needs the package pyarrow: pip install 'apu-review[export]'") from error
    return ParquetFiles(folder, images=images)


def _posed(folder: Path, options: ExportOptions, bodies: Callable[[str], Any] | None) -> Writer:
    from review_db.exports.meshes import AmassFiles, GlbFiles, SignatureFiles

    if bodies is None:
        raise ValueError(f"the form {options.form} needs bodies")
    if options.form is Form.GLB:
        return GlbFiles(folder, bodies)
    if options.form is Form.AMASS:
        return AmassFiles(folder, bodies)
    return SignatureFiles(folder, bodies, images=options.images)


def _why_nothing(options: ExportOptions, snapshot: Snapshot) -> str:
    if snapshot.skipped:
        reason = "counts for training" if options.form is Form.TRAINING else "has a fit yet"
        return f"none of the {len(snapshot.skipped)} selected pairs {reason}"
    if options.where.states is not None:
        wanted = " or ".join(sorted(options.where.states))
        return f"no pair is {wanted} yet under this filter; --all takes every pair with a fit"
    return "no pair passes the filter"


def _summarise(summary: Summary, options: ExportOptions) -> dict[str, Any]:
    counts = {"splits": summary.splits, "states": summary.states, "body": summary.body, "curators": summary.curators}
    versions = {"apu-review": version("apu-review"), "numpy": np.__version__, "python": platform.python_version()}
    if options.form is Form.PARQUET:
        versions["pyarrow"] = version("pyarrow")
    return {
        "format": FORMAT,
        "pairs": summary.pairs,
        "simulated": summary.simulated,
        "images": len(summary.images),
        **{name: dict(sorted(counter.items())) for name, counter in counts.items()},
        "versions": versions,
        "settings": options.settings(),
        "as_of": summary.as_of,
    }
