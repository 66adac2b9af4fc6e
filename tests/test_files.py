"""Files of other people: read when honest, refused in one sentence when not, and never run."""

import contextlib
import io
import json
import os
import pickle
import struct
import subprocess
import time
import tracemalloc
import zipfile
import zlib
from collections import OrderedDict

import hypothesis.extra.numpy as nps
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu.errors import FormatError, InputError, UnsafeFileError
from apu.files import MIB, atomic_write, load_npy, load_npz, read_bytes, read_json
from apu.unpickle import unpickle

PLAIN = st.sampled_from(["?", "i1", "u2", "<i4", ">i4", "i8", "f2", "<f4", ">f8", "c8", "U3", "S2"])
NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text() | st.binary()
    | nps.arrays(PLAIN.map(np.dtype), nps.array_shapes(min_dims=0, min_side=0), fill=st.nothing()),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip


def same(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def boxed(value):
    array = np.empty((), object)
    array[()] = value
    return array


def npz(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def npz_of_pickle(path, data):
    """An .npz with one object array whose pickle is `data`."""
    entry = io.BytesIO()
    np.lib.format.write_array_header_1_0(entry, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("results.npy", entry.getvalue() + data)
    return path


@settings(max_examples=60, deadline=None)
@given(array=nps.arrays(PLAIN.map(np.dtype), nps.array_shapes(min_dims=0, min_side=0)), transposed=st.booleans())
def test_npz_gives_back_the_array_numpy_wrote(tmp_path_factory, array, transposed):
    array = np.asfortranarray(array) if transposed else array
    path = npz(tmp_path_factory.mktemp("npz") / "a.npz", a=array)
    result = load_npz(path)["a"]
    assert same(array, result)
    assert result.flags.writeable


@settings(max_examples=60, deadline=None)
@given(value=NESTED, protocol=st.sampled_from([2, 3, 4, 5]))
def test_unpickle_agrees_with_pickle(value, protocol):
    data = pickle.dumps(boxed(value), protocol=min(protocol, 4))
    assert same(value, unpickle(data)[()])


def test_numpy_scalars_inside_containers_are_read(tmp_path):
    value = {"focal": np.float32(443.4), "n": np.int64(3), "name": "bev", "both": [np.float64(1.5)] * 2}
    result = load_npz(npz(tmp_path / "a.npz", results=boxed(value)))["results"][()]
    assert result == value
    assert isinstance(result["focal"], np.float32)


def test_npy_is_read_like_an_entry(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(load_npy(tmp_path / "a.npy"), [[0, 1, 2], [3, 4, 5]])


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "payload",
    [
        lambda target: Evil(os.system, f"touch {target}"),
        lambda target: Evil(eval, f"open({str(target)!r}, 'w')"),
        lambda target: Evil(exec, f"open({str(target)!r}, 'w')"),
        lambda target: Evil(getattr, Evil(__import__, "os"), "system"),
        lambda target: Evil(open, str(target), "w"),
        lambda target: Evil(subprocess.Popen, ["touch", str(target)]),
        lambda target: Evil(np.load, str(target)),
        lambda target: Evil(np.ndarray, (10**6,)),
        lambda target: Evil(bytearray, 10**12),
        lambda target: {"smpl_thetas": np.zeros((2, 72)), "extra": [Evil(os.system, f"touch {target}")]},
    ],
)
def test_malicious_pickles_run_nothing(tmp_path, payload, protocol):
    target = tmp_path / "ran"
    path = npz_of_pickle(tmp_path / "evil.npz", pickle.dumps(boxed(payload(target)), protocol=protocol))
    with pytest.raises(UnsafeFileError, match=r"evil\.npz was refused: .+"):
        load_npz(path)
    assert not target.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b"(S'touch ran'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch ran'\no.",
        b"\x80\x02c__builtin__\nobject\n)\x81.",
        b"\x80\x02\x82\x01.",
        b"Pperson\n.",
        b"\x80\x05\x97.",
        b"\x80\x02}}b.",
        b"\x80\x02cnumpy\nndarray\n(K\x05tR.",
        b"\x80\x04\x8c\x05numpy\x8c\x0bcore.os.sys\x93.",
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f4R.",
    ],
)
def test_handwritten_pickles_are_refused(program):
    with pytest.raises(UnsafeFileError):
        unpickle(program)


def test_entries_that_numpy_would_read_under_another_name_are_not_let_through(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("results", b"\x93NUMPY")
    with pytest.raises(FormatError):
        load_npz(tmp_path / "a.npz")


def pickle_of_repeated_copies():
    """One text of 1 MB, turned into bytes 20,000 times."""
    text = b"\x80\x02](X" + struct.pack("<I", 10**6) + b"a" * 10**6 + b"q\x00c_codecs\nencode\nq\x01"
    return text + b"h\x01h\x00X\x06\x00\x00\x00latin1\x86R" * 20_000 + b"e."


def pickle_of_exponential_key():
    """A tuple of tuples whose hash takes 2^60 steps."""
    return b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"K\x01s."


@pytest.mark.parametrize(
    "data",
    [
        pickle_of_repeated_copies(),
        pickle_of_exponential_key(),
        b"\x80\x02" + b"]" * 10**7 + b".",
        b"\x80\x02" + b"(" * 10**6 + b"l" * 10**6 + b".",
        b"\x80\x04B\xff\xff\xff\x7f.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".",
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"\x80\x02]q\x00h\x00a.",
        b"",
        b".",
        b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f4K\x00K\x01\x87R(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xfftb.",
    ],
)
def test_pickle_bombs_and_damage_end_quickly_in_little_memory(tmp_path, data):
    path = npz_of_pickle(tmp_path / "bomb.npz", data)
    with bounded(megabytes=200), pytest.raises((UnsafeFileError, FormatError), match=r"bomb\.npz"):
        load_npz(path)


class bounded:
    """Fail when the block takes more memory or time."""

    def __init__(self, *, megabytes, seconds=10.0):
        self.bytes, self.seconds = megabytes * 10**6, seconds

    def __enter__(self):
        tracemalloc.start()
        self.start = time.process_time()

    def __exit__(self, *_):
        seconds, (_, peak) = time.process_time() - self.start, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < self.bytes
        assert seconds < self.seconds


def header(shape, descr="<f8"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        header((10**9, 1000)) + b"\0" * 80,
        header((4,)) + b"\0" * 31,
        header((4,)) + b"\0" * 33,
        header((2**62, 8)) + b"\0" * 8,
        header((0, 2**40, 2**40)),
        header((1,) * 80) + b"\0" * 8,
        header((3,), "<U99999999"),
        header((3,), "V8") + b"\0" * 24,
        header((3,), "M8") + b"\0" * 24,
        header(()),
        b"\x93NUMPY\x01\x00\xff\xff" + b" " * 20,
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"{" * 20,
        b"\x93NUMPY\x03\x00",
        b"\x93NUMPY\x01\x00\x10\x00" + b"-" * 16,
        b"\x93NUMPY",
        b"PK\x03\x04",
        b"",
    ],
)
def test_arrays_that_claim_something_else_than_they_hold_are_refused(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    for read, name in ((load_npy, "a.npy"), (load_npz, "a.npz")):
        with bounded(megabytes=5), pytest.raises(FormatError, match=name):
            read(tmp_path / name)


def test_a_zip_that_unpacks_beyond_the_limit_is_refused_unread(tmp_path):
    path = npz(tmp_path / "a.npz", a=np.zeros(3 * MIB, np.uint8), b=np.zeros(3 * MIB, np.uint8))
    assert path.stat().st_size < MIB
    with bounded(megabytes=2), pytest.raises(UnsafeFileError, match="unpacks to more than the limit of 4 MiB"):
        load_npz(path, max_bytes=4 * MIB)
    assert load_npz(path, max_bytes=8 * MIB)["a"].size == 3 * MIB


def test_a_stream_longer_than_declared_is_read_no_further(tmp_path):
    content = header((100,)) + bytes(800)
    packer = zlib.compressobj(1, wbits=-15)
    packed = packer.compress(content) + b"".join(packer.compress(bytes(MIB)) for _ in range(200)) + packer.flush()
    name = b"a.npy"
    numbers = struct.pack("<IIIHH", zlib.crc32(content), len(packed), len(content), len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + numbers + name + packed
    entry = (
        b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0) + numbers + bytes(10) + struct.pack("<I", 0) + name
    )
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)
    (tmp_path / "a.npz").write_bytes(local + entry + end)
    with bounded(megabytes=20):
        assert load_npz(tmp_path / "a.npz")["a"].shape == (100,)


def test_a_directory_of_too_many_entries_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for i in range(20_000):
            archive.writestr(f"{i:05}.npy", b"")
    with bounded(megabytes=20), pytest.raises(UnsafeFileError, match="too many entries"):
        load_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_without_a_bound_are_refused(tmp_path, compression):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        archive.writestr("a.npy", header((100,)) + bytes(800))
    with pytest.raises(FormatError, match="compression"):
        load_npz(tmp_path / "a.npz")


EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8)


def mutate(data, edits, cut):
    data = bytearray(data)
    for place, value in edits:
        data[int(place * len(data))] = value
    return bytes(data[: int(cut * len(data))])


@settings(max_examples=100, deadline=None)
@given(edits=EDITS, cut=st.just(1.0) | st.floats(0, 1), packed=st.booleans())
def test_damaged_archives_end_in_a_typed_error(tmp_path_factory, edits, cut, packed):
    folder = tmp_path_factory.mktemp("npz")
    buffer = io.BytesIO()
    write = np.savez_compressed if packed else np.savez
    write(buffer, a=np.arange(12.0), results=boxed({"x": np.ones((2, 3), np.float32), "n": [1, "two"]}))
    (folder / "a.npz").write_bytes(mutate(buffer.getvalue(), edits, cut))
    with contextlib.suppress(InputError):
        load_npz(folder / "a.npz")


@settings(max_examples=200, deadline=None)
@given(edits=EDITS, cut=st.just(1.0) | st.floats(0, 1))
def test_damaged_pickles_end_in_a_typed_error(edits, cut):
    data = pickle.dumps(boxed({"x": np.ones((2, 3), np.float32), "n": [1, "two", np.float32(3)], "t": (1, 2.5)}), 4)
    with contextlib.suppress(InputError):
        unpickle(mutate(data, edits, cut))


def test_json_is_read_with_or_without_a_byte_order_mark(tmp_path):
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / "a.json").write_text(json.dumps({"ä": [1, None]}), encoding=encoding)
        assert read_json(tmp_path / "a.json") == {"ä": [1, None]}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"[" * 10**6, FormatError),
        (b'{"a":' * 10**5, FormatError),
        (b"[" + b"[]," * 6_000_000 + b"0]", UnsafeFileError),
        (b"[" + b"1" * 10_000 + b"]", FormatError),
        (b"\xff\xfe{}", FormatError),
        (b"{'a': 1}", FormatError),
        (b"not json", FormatError),
        (b"", FormatError),
    ],
    ids=["deep list", "deep object", "many lists", "long number", "encoding", "quotes", "text", "empty"],
)
def test_json_bombs_and_damage_are_refused(tmp_path, content, error):
    (tmp_path / "a.json").write_bytes(content)
    with bounded(megabytes=100), pytest.raises(error, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_large_files_are_refused_by_size(tmp_path):
    (tmp_path / "a.json").write_bytes(b" " * (2 * MIB))
    with pytest.raises(UnsafeFileError, match="limit of 1 MiB"):
        read_json(tmp_path / "a.json", max_bytes=MIB)


def test_what_is_not_an_ordinary_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "missing", "."):
        with pytest.raises(InputError, match=r"is not a file|cannot be read"):
            read_bytes(tmp_path / name, max_bytes=10)


def test_atomic_write_replaces_a_file_as_a_whole(tmp_path):
    target = tmp_path / "a.bin"
    atomic_write(target, b"old")
    atomic_write(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "folder", tmp_path / "missing" / "a.bin"):
        with pytest.raises(InputError, match="cannot be written"):
            atomic_write(target, b"data")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_containers_with_a_class_are_refused():
    with pytest.raises(UnsafeFileError, match=r"collections\.OrderedDict"):
        unpickle(pickle.dumps(boxed(OrderedDict(a=1)), 4))
