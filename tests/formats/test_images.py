"""Photographs: one orientation, one hash, and nothing decoded that is too large or no image."""

import contextlib
import hashlib
import resource
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu.errors import FormatError, InputError, UnsafeFileError
from apu.formats import read_image

CORNERS = np.zeros((40, 60, 3), np.uint8)
CORNERS[:20, :30] = (250, 0, 0)
CORNERS[:20, 30:] = (0, 250, 0)
CORNERS[20:, :30] = (0, 0, 250)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *, data=b""):
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pixels_bytes_and_hash(tmp_path, kind):
    path = tmp_path / "a.jpg"
    PIL.Image.fromarray(CORNERS).save(path, format=kind)
    image = read_image(path)
    assert (image.width, image.height, image.kind) == (60, 40, kind)
    assert image.rgb.dtype == np.uint8
    assert np.abs(image.rgb[5, 5].astype(int) - (250, 0, 0)).max() < 20
    assert image.data == path.read_bytes()
    assert image.sha256 == hashlib.sha256(image.data).hexdigest()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_rotation_of_the_camera_is_applied_once(tmp_path, orientation):
    """Files whose EXIF entry undoes what was done to their pixels all show the same picture."""
    upright = PIL.Image.fromarray(CORNERS)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # EXIF orientation -> PIL.Image.Transpose of the stored pixels
    stored = upright if orientation == 1 else upright.transpose(PIL.Image.Transpose(undo[orientation]))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").rgb, CORNERS)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_8_bit_mode_becomes_rgb(tmp_path, mode):
    PIL.Image.fromarray(CORNERS).convert(mode).save(tmp_path / "a", format="JPEG" if mode == "CMYK" else "PNG")
    assert read_image(tmp_path / "a").rgb.shape == (40, 60, 3)


def test_16_bits_per_channel_are_refused_instead_of_clipped(tmp_path):
    PIL.Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(FormatError, match="8-bit"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("side", [40_000, 12_000, 8_000])
def test_a_bomb_is_refused_before_decoding(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, data=bytes(10**6)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnsafeFileError, match=r"bomb\.png has more than 50 million pixels; scale it down"):
        read_image(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


@pytest.mark.parametrize(
    "content", [b"just some text\n", b"", b"GIF89a" + bytes(50), b"%PDF-1.4", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_photograph_is_refused_whatever_its_name(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.jpg is"):
        read_image(tmp_path / "a.jpg")


def test_a_cut_off_photograph_is_refused(tmp_path, write_image):
    data = write_image(tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError, match="damaged"):
        read_image(tmp_path / "a.jpg")


EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6)


@settings(max_examples=50, deadline=None)
@given(kind=st.sampled_from(["JPEG", "PNG", "WEBP"]), edits=EDITS, cut=st.just(1.0) | st.floats(0, 1))
def test_damaged_photographs_end_in_a_typed_error(tmp_path_factory, kind, edits, cut):
    path = tmp_path_factory.mktemp("image") / "a"
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(CORNERS).save(path, format=kind, exif=exif)
    data = bytearray(path.read_bytes())
    for position, value in edits:
        data[int(position * len(data))] = value
    path.write_bytes(data[: int(cut * len(data))])
    with contextlib.suppress(InputError):
        read_image(path)
