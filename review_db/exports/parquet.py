"""Parquet files that Hugging Face `datasets` loads; needs pyarrow (extra ``export``)."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from review_db.exports.arrays import smplx_arrays
from review_db.exports.snapshot import Item
from review_db.exports.tables import contact_row, pair_row

_ROWS_PER_FILE = 4096
_ROWS_AT_ONCE = 256

_NUMBERS = pa.list_(pa.float32())
_PEOPLE = ("global_orient", "body_pose", "betas", "transl", "left_hand_pose", "right_hand_pose")
_CONTACT = pa.struct(
    [(name, pa.string()) for name in ("part_0", "side_0", "part_1", "side_1")]
    + [("confidence", pa.float64()), ("weight", pa.float64()), ("source", pa.string())]
)
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_COLUMNS = {
    "pair": pa.int64(),
    **dict.fromkeys(("image_name", "image_sha256"), pa.string()),
    **dict.fromkeys(("width", "height"), pa.int32()),
    **dict.fromkeys(("source", "action", "interaction", "state"), pa.string()),
    "simulated": pa.bool_(),
    **dict.fromkeys(("verdict", "curator", "decided_at", "reason", "note"), pa.string()),
    **dict.fromkeys(("asker", "model", "prompt_id", "orientation", "answer"), pa.string()),
    "people": pa.list_(pa.string()),
    "contacts": pa.list_(_CONTACT),
    "boxes": pa.list_(pa.list_(pa.float64())),
    "keypoints": pa.list_(pa.list_(_NUMBERS)),
    "K": pa.list_(pa.list_(pa.float64())),
    "body": pa.string(),
    **dict.fromkeys(_PEOPLE, pa.list_(_NUMBERS)),
    "kept": pa.bool_(),
    **dict.fromkeys(("reprojection_512", "reprojection_px"), pa.list_(pa.float64())),
    **dict.fromkeys(("max_gap_m", "max_penetration_m", "mean_penetration_m"), pa.float64()),
    "updated_at": pa.string(),
}
"""The table: people are the first axis; units as in `docs/export.md`."""


class ParquetFiles:
    """``data/SPLIT-00000.parquet``, ... with at most 4096 pairs each."""

    def __init__(self, folder: Path, *, images: bool) -> None:
        self._folder, self._images = folder / "data", images
        self._folder.mkdir()
        schema = pa.schema(list((_COLUMNS | ({"image": _IMAGE} if images else {})).items()))
        features = {field.name: _feature(field.type) for field in schema}
        self._schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._written: dict[str, int] = {}
        self._open: dict[str, pq.ParquetWriter] = {}

    def add(self, item: Item) -> None:
        """Write one pair."""
        split = item.split or "pairs"
        rows = self._rows.setdefault(split, [])
        rows.append(_row(item) | ({"image": _image(item)} if self._images else {}))
        if len(rows) == _ROWS_AT_ONCE:
            self._flush(split)

    def finish(self) -> None:
        """Complete and close the files."""
        for split in self._rows:
            self._flush(split)
        for writer in self._open.values():
            writer.close()

    def _flush(self, split: str) -> None:
        rows, written = self._rows[split], self._written.get(split, 0)
        if not rows:
            return
        if written % _ROWS_PER_FILE == 0:
            if split in self._open:
                self._open[split].close()
            path = self._folder / f"{split}-{written // _ROWS_PER_FILE:05d}.parquet"
            self._open[split] = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._open[split].write_table(pa.Table.from_pylist(rows, self._schema))
        self._written[split] = written + len(rows)
        rows.clear()


def _feature(kind: pa.DataType) -> dict[str, Any]:
    """A column as `datasets` describes it, so that photographs are decoded there."""
    if kind == _IMAGE:
        return {"_type": "Image"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": {"float": "float32", "double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def _row(item: Item) -> dict[str, Any]:
    line, answer = pair_row(item), item.entry["answer"] or {}
    row = {name: line.get(name) for name in _COLUMNS if name not in ("contacts", "pair")}
    row |= {"pair": item.id, "image_name": line["image"], "K": item.record.observation.camera.K.tolist()}
    row |= {"contacts": [contact_row(contact) for contact in item.record.sheet.active]}
    row |= {name: item.entry[name] for name in ("boxes", "keypoints")}
    row |= {"people": answer.get("people"), "orientation": answer.get("orientation"), "answer": answer.get("raw")}
    if item.fit is not None:
        row |= {name: list(getattr(item.fit, name)) for name in ("reprojection_512", "reprojection_px")}
    if item.result is not None:
        arrays = smplx_arrays(item.result.params)
        row |= {name: arrays[name].tolist() for name in _PEOPLE}
    return row


def _image(item: Item) -> dict[str, Any]:
    return {"bytes": item.photograph(), "path": item.image}
