"""The one loader of photographs: the same pixels and the same rotation everywhere."""

import hashlib
import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
from jaxtyping import UInt8

from apu.errors import FormatError, UnsafeFileError
from apu.files import MIB, read_bytes

# Of odd metadata, which loses nothing here; for the whole process, since filters of a block are not its thread's alone.
warnings.filterwarnings("ignore", module=r"PIL\.")

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

MAX_PIXELS = 50_000_000
"""One decoded image takes 8 bytes per pixel while it is read."""

_MAX_BYTES = 128 * MIB
_MAX_SCANS = 100
"""A camera's progressive JPEG has about ten; each takes as long as decoding the whole image."""
_STRIP = 256
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, OverflowError)


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """A photograph as it is shown: EXIF rotation applied, no transparency.

    Attributes:
        rgb: pixels, read-only. data: the file's own bytes. sha256: their hash, in hexadecimal.
        kind: ``"JPEG"``, ``"PNG"`` or ``"WEBP"``.
    """

    rgb: UInt8[np.ndarray, "height width 3"]
    data: bytes
    sha256: str
    kind: str

    @property
    def width(self) -> int:
        """Pixels."""
        return self.rgb.shape[1]

    @property
    def height(self) -> int:
        """Pixels."""
        return self.rgb.shape[0]


def read_image(path: Path) -> Image:
    """Read a JPEG, PNG or WebP photograph with 8 bits per channel.

    Raises:
        InputError: the file cannot be read.
        UnsafeFileError: it has more than `MAX_PIXELS`; nothing is decoded.
        FormatError: it is not such an image, or damaged.
    """
    data = read_bytes(path, max_bytes=_MAX_BYTES)
    try:
        with PIL.Image.open(BytesIO(data), formats=["JPEG", "PNG", "WEBP"]) as image:
            # A JPEG in scans keeps all coefficients: a fourth channel takes a third more.
            if image.width * image.height * (4 if image.mode == "CMYK" else 3) > 3 * MAX_PIXELS:
                raise PIL.Image.DecompressionBombError
            if image.format == "JPEG" and data.count(b"\xff\xda") > _MAX_SCANS:
                raise UnsafeFileError(f"{path} is a JPEG in more than {_MAX_SCANS} scans; save it anew")
            if image.mode.startswith(("I", "F")):
                raise FormatError(f"{path} has more than 8 bits per channel; save it as an 8-bit image")
            kind, rgb = str(image.format), _pixels(image)
    except PIL.Image.DecompressionBombError as error:
        raise UnsafeFileError(f"{path} has more than {MAX_PIXELS // 10**6} million pixels; scale it down") from error
    except PIL.UnidentifiedImageError as error:
        raise FormatError(f"{path} is not a JPEG, PNG or WebP image") from error
    except (*_DAMAGED, struct.error, zlib.error) as error:
        raise FormatError(f"{path} is a damaged image: {error}") from error
    return Image(rgb=rgb, data=data, sha256=hashlib.sha256(data).hexdigest(), kind=kind)


def _pixels(image: PIL.Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """RGB, rotated as the camera's EXIF entry says; copied in strips, since Pillow would hold all of it three times."""
    PIL.ImageOps.exif_transpose(image, in_place=True)
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP):
        bottom = min(top + _STRIP, image.height)
        strip = image.crop((0, top, image.width, bottom))
        if "transparency" in strip.info:
            strip = strip.convert("RGBA")
        rgb[top:bottom] = np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
    rgb.flags.writeable = False
    return rgb
