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

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

MAX_PIXELS = 50_000_000
"""One decoded image takes 8 bytes per pixel while it is read."""

_MAX_BYTES = 128 * MIB
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
        # Pillow warns of odd metadata, which loses nothing here.
        with (
            warnings.catch_warnings(action="ignore"),
            PIL.Image.open(BytesIO(data), formats=["JPEG", "PNG", "WEBP"]) as image,
        ):
            if image.width * image.height > MAX_PIXELS:
                raise PIL.Image.DecompressionBombError
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
    if "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode != "RGB":
        image = image.convert("RGB")
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP):
        bottom = min(top + _STRIP, image.height)
        rgb[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    rgb.flags.writeable = False
    return rgb
