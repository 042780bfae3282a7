"""Pictures of any format as pixels, only from regular files and of a limited size; PictureError otherwise."""

import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile

from src.common.errors import UsageError
from src.common.files import open_regular

Pixels = npt.NDArray[np.uint8]

LARGEST = 8192  # a picture may have as many pixels as a square of this side, 67 megapixels; A4 at 600 dpi has 35
ENOUGH = 1024  # pixels of each side, enough to find and frame a digit
# Pillow lets Ghostscript run EPS, and reads the other formats only with help of the system or of plugins
FORMATS_LEFT_OUT = {"BUFR", "EPS", "GRIB", "HDF5", "WMF"}
NO_PICTURE = "not a picture that Pillow reads"
NO_HEIC = 'a HEIC picture, which needs pillow-heif: pip install --constraint constraints.txt ".[heic]"'
HEIF = "HEIF"  # Pillow's name for HEIC
HEIC_START = re.compile(rb"....ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)
ORIENTATION, SIDEWAYS = 0x0112, range(5, 9)  # EXIF's tag, and its values for pictures that lie on their side
GREY_MODES = ("1", "L", "LA", "La", "I", "F")

MOST_SCANS = 100  # of a progressive JPEG, which has about ten; empty scans take a second for each kilobyte
JPEG_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")  # of a segment with a length, or the end

# Pillow warns of large pictures, which are refused if too large, and of each damaged part of EXIF data
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")


class PictureError(ValueError):
    """A picture cannot be read; the text is a short reason without a path."""


@contextmanager
def opened(picture: str | Path | BinaryIO) -> Iterator[BinaryIO]:
    """Open a picture's file, unless it is already open."""
    if not (isinstance(picture, str | Path) or hasattr(picture, "read")):
        kind = type(picture).__name__
        raise UsageError(f"`picture` must be a file or its path, got {kind}: for pixels use trained.answer(images).")
    try:
        with open_regular(Path(picture)) if isinstance(picture, str | Path) else nullcontext(picture) as file:
            yield file
    except OSError as error:
        raise PictureError(f"cannot be read ({error.strerror})") from error


@cache
def formats() -> list[str]:
    """Return the names of the formats that are read; with the extra ``heic`` also HEIF, the format of phones."""
    Image.init()
    with suppress(ModuleNotFoundError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return [name for name in Image.ID if name not in FORMATS_LEFT_OUT]


def is_called_picture(path: Path) -> bool:
    """Say whether a file's name ends as a picture's does."""
    return path.suffix.lower() in {*Image.registered_extensions(), ".heic", ".heif"}


def identify(file: BinaryIO, kinds: Collection[str] | None = None) -> ImageFile:
    """Identify the picture in an open file, of one of the formats ``kinds`` or of any, without decoding a pixel."""
    too_large = f"more than {LARGEST} x {LARGEST}"
    try:
        known = formats()
        image = Image.open(file, formats=known if kinds is None else [name for name in known if name in kinds])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(f"{too_large} pixels") from error
    except Exception as error:  # decoders raise many types for the many ways a file can be damaged
        file.seek(0)
        lacks_heic = HEIC_START.match(file.read(12)) and HEIF not in formats()
        raise PictureError(NO_HEIC if lacks_heic else NO_PICTURE) from error
    if image.width * image.height > LARGEST**2:
        raise PictureError(f"{image.width} x {image.height} pixels are {too_large}")
    return image


def header(file: BinaryIO) -> tuple[tuple[int, int], bool]:
    """Return height and width of the picture in a file, turned upright, and whether its mode is grey."""
    image = identify(file)
    may_lie = image.format != "PNG" or "exif" in image.info  # else Pillow decodes a PNG to look for EXIF at its end
    lies = may_lie and image.getexif().get(ORIENTATION) in SIDEWAYS
    return image.size if lies else image.size[::-1], image.mode.split(";")[0] in GREY_MODES


def scans(content: bytes) -> int:
    """Return the number of scans in a JPEG; the time to decode a scan grows with the picture's size."""
    count = place = 0
    while (marker := JPEG_MARKER.search(content, place)) and marker[1] != b"\xd9":
        count += marker[1] == b"\xda"
        length = 0 if marker[1] == b"\xd8" else int.from_bytes(content[marker.end() : marker.end() + 2])
        place = marker.end() + length
    return count


def decode(file: BinaryIO | ImageFile, enough: int = ENOUGH) -> tuple[Image.Image, float]:
    """Return the picture in a file, upright, and the height and width of its pixels in pixels of the file.

    A JPEG is decoded at a smaller scale, but with at least ``enough`` pixels of each side.
    """
    image = file if isinstance(file, ImageFile) else identify(file)
    try:
        width = image.width
        if image.format in ("JPEG", "MPO") and image.fp:
            place = image.fp.tell()
            image.fp.seek(0)
            if scans(image.fp.read()) > MOST_SCANS:
                raise PictureError(f"more than {MOST_SCANS} scans")
            image.fp.seek(place)
        image.draft(None, (enough, enough))
        image.load()
        factor = width / image.width
        ImageOps.exif_transpose(image, in_place=True)
        return image.convert("LA") if image.mode == "La" else image, factor  # as in to_grey
    except PictureError:
        raise
    except Exception as error:
        raise PictureError("a damaged picture") from error


def read_picture(path: Path, shape: tuple[int, ...]) -> Pixels:
    """Read a picture's file as pixels of a shape, (H, W) or (H, W, 3), on white where it is transparent."""
    with opened(path) as file:
        image, _ = decode(file, 2 * max(shape))
    if image.mode == "F":
        raise PictureError("floating-point pixels")
    if image.mode.startswith("I"):  # of 16 bits
        image = Image.fromarray((np.asarray(image).clip(0, 65_535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if len(shape) == 2 else "RGB")
    size = (shape[1], shape[0])
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BICUBIC))
