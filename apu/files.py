"""Where the program's own files lie, and the safe ways to read and write files.

Files of other people are checked before they are believed: sizes before allocation, numbers before use, pickles
never run (`apu.unpickle`). What cannot be used ends in one `InputError` whose sentence names the file.
"""

import json
import math
import os
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np

from apu.errors import FormatError, InputError, UnsafeFileError
from apu.unpickle import simple_dtype, unpickle

MIB = 2**20

_MAX_PICKLE_BYTES = 64 * MIB
_MAX_DIRECTORY_BYTES = MIB
_MAX_HEADER_BYTES = 4096
_NPY_HEADER = re.compile(
    rb"\{'descr': ?'([<>|=]?[A-Za-z]\d{0,9})', ?'fortran_order': ?(True|False), ?"
    rb"'shape': ?\(((?:\d{1,15}, ?)*(?:\d{1,15})?)\),? ?\}\s*"
)
_DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError, OSError)


def asset(name: str) -> Path:
    """Path of a shipped asset, e.g. ``"body/smplx/SMPLX_NEUTRAL.npz"``; from a wheel or a source tree alike."""
    package = Path(__file__).parent
    for root in (package / "_assets", package.parent / "assets"):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"asset {name!r} is missing from the installation")


def read_bytes(path: Path, *, max_bytes: int) -> bytes:
    """The bytes of an ordinary file.

    Raises:
        InputError: it is missing, unreadable or not a file.
        UnsafeFileError: it is larger than `max_bytes`.
    """
    try:
        # Opening a pipe would wait for a writer for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"{path} is not a file")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise UnsafeFileError(f"{path} is larger than the limit of {max_bytes / MIB:.0f} MiB")
            return file.read(size)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def atomic_write(path: Path, data: bytes) -> None:
    """Write all of a file or nothing: an interrupted write leaves the old file as it was.

    Raises:
        InputError: the folder is missing, full or read-only.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path, *, max_bytes: int = 32 * MIB, max_values: int = 4_000_000) -> Any:
    """The value of a JSON file in UTF-8.

    Args:
        path: the file.
        max_bytes: its largest size.
        max_values: the most numbers, texts, lists and objects in it: a parsed one takes up to 80 bytes, however short
            its text. The defaults keep memory below 500 MB.

    Raises:
        InputError: it cannot be read.
        FormatError: it is not JSON.
        UnsafeFileError: it is larger than a limit.
    """
    data = read_bytes(path, max_bytes=max_bytes)
    if sum(map(data.count, (b",", b":", b"[", b"{"))) > max_values:
        raise UnsafeFileError(f"{path} holds more than {max_values} values; split it into smaller files")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FormatError(f"{path} is not valid JSON: {reason}") from error


def read_dataset_json(path: Path) -> Any:
    """`read_json` of one file that describes a whole data set: up to 128 MiB of text and 1.5 GB of memory."""
    return read_json(path, max_bytes=128 * MIB, max_values=16_000_000)


def load_npz(path: Path, *, max_bytes: int = 256 * MIB) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, also object arrays of plain containers, of which nothing is run.

    All sizes that the file declares are checked before memory is taken.

    Args:
        path: file as written by `numpy.savez` or `numpy.savez_compressed`.
        max_bytes: limit of the file and of everything in it once unpacked.

    Raises:
        InputError: it cannot be read.
        UnsafeFileError: it is larger than the limit, or its pickles want more than numpy's arrays need.
        FormatError: it is not an .npz file, or damaged.
    """
    return parse_npz(read_bytes(path, max_bytes=max_bytes), path, max_bytes=max_bytes)


def parse_npz(data: bytes, name: Path | str, *, max_bytes: int = 256 * MIB) -> dict[str, np.ndarray]:
    """The arrays of an .npz file that is in memory; `name` is what sentences call it, errors as in `load_npz`.

    Unlike `numpy.load` it does not parse headers as Python, which in CPython 3.11 fails now and then in several
    threads at once (SystemError: AST constructor recursion depth mismatch).
    """
    with _naming(name, ".npz"):
        _check_directory(data)
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            # numpy.load would read an array from an entry of any name, so none may pass unread.
            if not all(entry.filename.endswith(".npy") for entry in entries):
                raise FormatError("it holds something that is not an array")
            if sum(entry.file_size for entry in entries) > max_bytes:
                raise UnsafeFileError(f"it unpacks to more than the limit of {max_bytes / MIB:.0f} MiB")
            return {entry.filename.removesuffix(".npy"): _read_entry(archive, entry) for entry in entries}


def load_npy(path: Path, *, max_bytes: int = 256 * MIB) -> np.ndarray:
    """The array of an .npy file; errors as in `load_npz`."""
    data = read_bytes(path, max_bytes=max_bytes)
    with _naming(path, ".npy"):
        return _read_array(BytesIO(data), len(data))


@contextmanager
def _naming(path: Path | str, kind: str) -> Iterator[None]:
    """Turn every fault into one sentence that names the file."""
    try:
        yield
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{path} was refused: {error}") from error
    except (FormatError, *_DAMAGED) as error:
        # zipfile quotes the damaged file itself, as long as it says its names are.
        raise FormatError(f"{path} is not a readable {kind} file: {str(error)[:200]}") from error


def _check_directory(data: bytes) -> None:
    """Bound the number of entries before zipfile makes an object of each.

    Only the form that numpy writes is taken: no comment, and no ZIP64 directory, which small files never have.
    """
    end = data[-22:]
    if not end.startswith(b"PK\x05\x06") or data[-42:-38] == b"PK\x06\x07":
        raise FormatError("it is not a complete zip archive")
    if int.from_bytes(end[12:16], "little") > _MAX_DIRECTORY_BYTES:
        raise UnsafeFileError("it holds too many entries")


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FormatError("numpy does not write this compression")
    with archive.open(entry) as file:
        return _read_array(cast(BufferedIOBase, file), entry.file_size)


def _read_array(file: BufferedIOBase, size: int) -> np.ndarray:
    """The array of an .npy stream of `size` bytes (NumPy enhancement proposal 1, versions 1 and 2)."""
    start = file.read(8)
    if start not in (b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00"):
        raise FormatError("it holds something that is not an array")
    width = 2 * start[6]
    length = int.from_bytes(file.read(width), "little")
    header = _NPY_HEADER.fullmatch(file.read(min(length, _MAX_HEADER_BYTES)))
    if header is None:
        raise FormatError("an array's header is damaged, or of a kind that is not read")
    dtype = simple_dtype(header[1].decode())
    shape = tuple(int(n) for n in header[3].replace(b" ", b"").split(b",") if n)
    rest = size - 8 - width - length
    if dtype.kind == "O":
        return _read_objects(file, rest)
    if dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize != rest:
        raise FormatError(f"an array claims {shape} of {dtype}, but {rest} bytes follow")
    flat = np.empty(math.prod(shape), dtype)
    _fill(file, flat.view(np.uint8).data)
    return flat.reshape(shape, order="F" if header[2] == b"True" else "C")


def _read_objects(file: BufferedIOBase, size: int) -> np.ndarray:
    if size > _MAX_PICKLE_BYTES:
        raise UnsafeFileError(f"its pickled part is larger than {_MAX_PICKLE_BYTES / MIB:.0f} MiB")
    data = bytearray(max(size, 0))
    _fill(file, memoryview(data))
    array = unpickle(bytes(data))
    if not isinstance(array, np.ndarray):
        raise FormatError("its pickled part is not an array")
    return array


def _fill(file: BufferedIOBase, target: memoryview) -> None:
    """Read in small pieces: a deflate stream may be longer than it declares."""
    for begin in range(0, len(target), MIB):
        piece = target[begin : begin + MIB]
        content = file.read(len(piece))
        if len(content) < len(piece):
            raise FormatError("it is cut off")
        piece[:] = content
