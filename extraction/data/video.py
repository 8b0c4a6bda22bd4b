"""Frames of a video from what is at hand without a decoder: a folder of images, an animated picture, an array."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from extraction.data.pictures import FORMATS, check_size, load_picture, open_regular, reason
from redundancy.errors import InvalidInputError

__all__ = ["FRAME_ENDINGS", "load_frames"]

FRAME_ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_ANIMATED = (".gif", ".webp", ".png")
_ENCODED = (".avi", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
Frames = npt.NDArray[np.uint8]


def load_frames(source: Any, *, where: str = "the video") -> Frames:
    """Return all frames of a video.

    Parameters
    ----------
    source : path, array, or list of paths or PIL images
        A folder of images in the order of their names; an animated GIF, WebP or PNG; a ``.npy`` file, or an ``.npz``
        file with one array; an array of shape (frames, height, width, 3) or (frames, height, width), uint8.
    where : str
        What the error calls it.

    Returns
    -------
    array of uint8, shape (frames, height, width, 3)

    Raises
    ------
    InvalidInputError
        For what is missing or not readable, frames of different size, and encoded video such as mp4, which needs a
        decoder that this package does not bring: extract the frames first.

    Examples
    --------
    >>> load_frames(np.zeros((3, 8, 8), dtype=np.uint8)).shape
    (3, 8, 8, 3)
    """
    try:
        return _checked(_read(source))
    except Exception as error:  # the decoders raise dozens of kinds; each is one fault of this video
        got = str(source) if isinstance(source, (str, os.PathLike)) else f"a {type(source).__name__}"
        raise InvalidInputError(
            f"need a readable video for {where}, got {got}: {reason(error)}; mend or drop it"
        ) from error


def _read(source: Any) -> npt.NDArray[Any]:
    from PIL import Image

    if isinstance(source, (list, tuple)):
        return _stack([load_picture(frame) for frame in source])
    if not isinstance(source, (str, os.PathLike)):
        return np.asarray(source)
    path = Path(source)
    ending = path.suffix.lower()
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in FRAME_ENDINGS)
        return _stack([load_picture(file) for file in files])
    if ending in _ENCODED:
        raise ValueError("an encoded video, which needs a decoder; extract its frames into a folder")
    if ending not in (*_ANIMATED, ".npy", ".npz"):
        raise ValueError("no folder of frames, no animated GIF or WebP, no .npy or .npz file")
    with open_regular(path) as file:
        if ending == ".npy":
            return np.asarray(np.load(file, allow_pickle=False))
        if ending == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                if len(arrays.files) != 1:
                    raise ValueError(f"{len(arrays.files)} arrays where one is needed")
                return np.asarray(arrays[arrays.files[0]])
        with Image.open(file, formats=FORMATS) as animation:
            n_frames = getattr(animation, "n_frames", 1)
            check_size(animation.size, n_frames)
            frames = []
            for i in range(n_frames):
                animation.seek(i)
                frames.append(animation.convert("RGB"))
            return _stack(frames)


def _stack(frames: Sequence[Any]) -> Frames:
    if not frames:
        raise ValueError("no frame in it")
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) > 1:
        raise ValueError(f"frames of different size, {sizes[0]} and {sizes[1]}")
    check_size(sizes[0], len(frames))
    return np.stack([np.asarray(frame, dtype=np.uint8) for frame in frames])


def _checked(frames: npt.NDArray[Any]) -> Frames:
    if frames.ndim == 3:
        frames = np.repeat(frames[..., None], 3, axis=-1)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ValueError(f"{frames.dtype} of shape {frames.shape} where uint8 of (frames, height, width, 3) is needed")
    return frames
