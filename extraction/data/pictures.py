"""The one decoder of pictures: raster formats, upright, eight bits a channel; whatever is wrong is one sentence."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import numpy as np
import numpy.typing as npt

from redundancy.errors import InvalidInputError

__all__ = ["FORMATS", "MAX_PIXELS", "check_size", "load_picture", "open_regular", "pixels_digest", "reason"]

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")  # none of them starts another program, as EPS does
MAX_PIXELS = 128_000_000  # cameras end at about 100 million; a bomb begins above
_CHANNELS = (1, 3, 4)
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


def load_picture(source: Any, *, where: str = "the picture") -> Any:
    """Decode a picture as RGB.

    The orientation that a camera wrote is applied. Sixteen bits are scaled to eight; floats must be in [0, 1], or
    in [0, 255]. Transparency is dropped, as the image processors of transformers do.

    Parameters
    ----------
    source : path, "data:" or "file:" URI, bytes of a file, PIL image, or array
        A file is PNG, JPEG, WebP, GIF (its first frame), TIFF or BMP. An array has the shape (height, width),
        (height, width, 1, 3 or 4) or (1, 3 or 4, height, width), of bool, uint8, uint16 or floats.
    where : str
        What the error calls it.

    Returns
    -------
    PIL.Image.Image
        In mode "RGB".

    Raises
    ------
    InvalidInputError
        For what is missing, no regular file, no picture, torn, of another format, or above `MAX_PIXELS`.

    Examples
    --------
    >>> load_picture(np.full((2, 3), 65535, dtype=np.uint16)).getpixel((0, 0))
    (255, 255, 255)
    """
    from PIL import Image

    try:
        if isinstance(source, Image.Image):
            return _rgb(source)
        if isinstance(source, (bytes, bytearray, memoryview)):
            return _decoded(io.BytesIO(source))
        if isinstance(source, str) and source[:5].lower() == "data:":
            return _decoded(io.BytesIO(_of_data_uri(source)))
        if isinstance(source, (str, os.PathLike)):
            with open_regular(source) as file:
                return _decoded(file)
        return _of_array(np.asarray(source))
    except Exception as error:  # Pillow's decoders raise dozens of kinds; each is one fault of this picture
        got = _name(source) if isinstance(source, (str, os.PathLike)) else f"a {type(source).__name__}"
        raise InvalidInputError(
            f"need a readable image for {where}, got {got}: {reason(error)}; mend or drop it"
        ) from error


def open_regular(path: str | os.PathLike[str]) -> Any:
    """Open a regular file for reading; a pipe or device could block for ever.

    Raises
    ------
    ValueError
        If it is none, or an address.
    OSError
        If it is missing or not readable.
    """
    text = os.fspath(path)
    if isinstance(text, str) and _ADDRESS.match(text):
        if not text[:7].lower() == "file://":
            raise ValueError("an address, and nothing is fetched; download it first")
        text = unquote(urlsplit(text).path)
    mode = os.stat(text).st_mode
    if not stat.S_ISREG(mode):
        raise ValueError("a folder" if stat.S_ISDIR(mode) else "no regular file but a pipe, socket or device")
    return Path(text).open("rb")


def pixels_digest(pictures: Iterable[Any]) -> str:
    """SHA-256 over size and pixels of RGB pictures in order: equal for what a model cannot tell apart.

    Parameters
    ----------
    pictures : iterable of PIL images or arrays of shape (height, width, 3)
        Images, or the frames of a video.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    total = hashlib.sha256()
    for picture in pictures:
        pixels = np.ascontiguousarray(picture, dtype=np.uint8)
        total.update(f"{pixels.shape};".encode())
        total.update(pixels.data)
    return total.hexdigest()


def reason(error: BaseException) -> str:
    """The whole message of a foreign error on one line, without control characters, at most 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 300 else f"{text[:297]}..."


def check_size(size: tuple[int, int], n_frames: int = 1) -> None:
    """Refuse more pixels than `MAX_PIXELS`; frames count together, eight times as many."""
    n_pixels = size[0] * size[1]
    if not n_pixels:
        raise ValueError("a picture without pixels")
    if n_pixels > MAX_PIXELS or n_pixels * n_frames > 8 * MAX_PIXELS:
        raise ValueError(f"{size[0]} x {size[1]} pixels in {n_frames} frames where {MAX_PIXELS} pixels are the most")


def _decoded(file: Any) -> Any:
    from PIL import Image

    with Image.open(file, formats=FORMATS) as image:
        check_size(image.size)
        return _rgb(image)


def _rgb(image: Any) -> Any:
    """Upright and with eight bits a channel."""
    from PIL import Image, ImageOps

    check_size(image.size)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return _of_array(np.asarray(image).astype(np.uint16))
    if image.mode == "I":
        values = np.asarray(image)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise ValueError(f"whole numbers in {low}..{high}, which are neither 8 nor 16 bits")
        return _of_array(values.astype(np.uint8 if high <= 255 else np.uint16))
    if image.mode == "F":
        return _of_array(np.asarray(image))
    converted: Image.Image = image.convert("RGB")
    return converted


def _of_array(values: npt.NDArray[Any]) -> Any:
    from PIL import Image

    if values.ndim == 3 and values.shape[2] not in _CHANNELS and values.shape[0] in _CHANNELS:
        values = np.moveaxis(values, 0, 2)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.size == 0 or not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in _CHANNELS)):
        raise ValueError(f"an array of shape {values.shape} where (height, width) or (height, width, 3) is needed")
    check_size((values.shape[1], values.shape[0]))
    return Image.fromarray(np.ascontiguousarray(_eight_bits(values))).convert("RGB")


def _eight_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"an array of {values.dtype} where uint8, uint16, bool or floats are needed")
    low, high = float(values.min()), float(values.max())
    if not 0.0 <= low <= high <= 255.0:  # also for NaN
        raise ValueError(f"floats in [{low:g}, {high:g}], which are neither in [0, 1] nor in [0, 255]")
    scale = 255.0 if high <= 1.0 else 1.0
    return np.rint(values.astype(np.float64) * scale).astype(np.uint8)


def _of_data_uri(text: str) -> bytes:
    head, comma, body = text.partition(",")
    if not comma:
        raise ValueError("a data URI without a comma")
    if head.lower().endswith(";base64"):
        return base64.b64decode(unquote(body), validate=True)
    return unquote_to_bytes(body)


def _name(source: str | os.PathLike[str]) -> str:
    text = str(source)
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 200 else f"{text[:60]}... ({len(text)} characters)"
