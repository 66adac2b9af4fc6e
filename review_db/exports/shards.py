"""WebDataset: tar files in which everything of one pair has one prefix."""

import tarfile
from io import BytesIO
from pathlib import Path

from review_db.exports.arrays import dump, smplx_npz
from review_db.exports.snapshot import Item

_PAIRS_PER_SHARD = 1000


class Shards:
    """``SPLIT-000000.tar``, ... with ``PAIR.json``, ``PAIR.npz`` where there is a fit, and ``PAIR.jpg`` on request."""

    def __init__(self, folder: Path, *, images: bool) -> None:
        self._folder, self._images = folder, images
        self._counts: dict[str, int] = {}
        self._open: dict[str, tarfile.TarFile] = {}

    def add(self, item: Item) -> None:
        """Write one pair."""
        tar, key = self._shard(item.split or "pairs"), f"{item.id:08d}"
        _add(tar, f"{key}.json", dump(item.entry))
        if item.result is not None:
            _add(tar, f"{key}.npz", smplx_npz(item.result.params, item.record.observation.camera))
        if self._images:
            _add(tar, f"{key}{item.suffix}", item.photograph())

    def finish(self) -> None:
        """Complete and close the files."""
        for tar in self._open.values():
            tar.close()

    def _shard(self, split: str) -> tarfile.TarFile:
        count = self._counts.get(split, 0)
        if count % _PAIRS_PER_SHARD == 0:
            if split in self._open:
                self._open[split].close()
            path = self._folder / f"{split}-{count // _PAIRS_PER_SHARD:06d}.tar"
            self._open[split] = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)
        self._counts[split] = count + 1
        return self._open[split]


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # time 0, no owner: equal data give equal bytes
    info.size = len(data)
    tar.addfile(info, BytesIO(data))
