"""Scenes of coloured shapes and handwritten digits: description, sampling and rendering.

A scene is a small JSON-able record that fixes every pixel, so a question set ships without images.
Rendering uses arithmetic and raw generator bits only (no drawing library, no normal sampler), because
both are stable across library versions. The digits are scikit-learn's copy of the UCI "Optical
Recognition of Handwritten Digits" test set (E. Alpaydin, C. Kaynak; CC BY 4.0), read at run time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["COLORS", "GENERATOR_VERSION", "IMAGE_SIZE", "SHAPES", "Scene", "SceneObject", "render", "sample_scene"]

GENERATOR_VERSION = 1
IMAGE_SIZE = 96
GRID = 3
CELL = IMAGE_SIZE // GRID
COLORS = {
    "red": (225, 40, 40),
    "green": (40, 185, 60),
    "blue": (60, 90, 240),
    "yellow": (235, 215, 45),
    "purple": (170, 60, 200),
    "white": (235, 235, 235),
}
SHAPES = ("circle", "square", "triangle", "cross")
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "center", "right")
_SIZES = (22, 24, 26)
_NOISE_AMPLITUDE = 6.0  # standard deviation in grey levels
_N_TRAINING_DIGITS = 1437  # of 1797; the other 360 appear in held-out scenes only


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object: a shape, or a digit image by its index in the digits data set."""

    cell: int
    kind: str
    color: str
    size: int
    shift: tuple[int, int]
    tint: tuple[int, int, int]
    digit_index: int | None = None
    digit: int | None = None

    @property
    def row(self) -> int:
        """Row of the 3 x 3 grid, 0 at the top."""
        return self.cell // GRID

    @property
    def column(self) -> int:
        """Column of the 3 x 3 grid, 0 at the left."""
        return self.cell % GRID


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene that `render` turns into exactly one image."""

    background: tuple[int, int, int]
    noise: int
    objects: tuple[SceneObject, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready record."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Scene:
        """Inverse of `to_dict`, also after a trip through JSON."""
        objects = tuple(
            SceneObject(**{**o, "shift": tuple(o["shift"]), "tint": tuple(o["tint"])}) for o in record["objects"]
        )
        return cls(background=tuple(record["background"]), noise=record["noise"], objects=objects)


@cache
def _digits() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    data = load_digits()
    # An order that depends on no sampler: raw bits of a fixed generator, ranked.
    order = np.argsort(np.random.PCG64(123).random_raw(len(data.target)), kind="stable")
    return (data.images / 16.0).astype(np.float32), data.target.astype(np.int64), order


@cache
def _digit_pool(held_out: bool) -> tuple[npt.NDArray[np.int64], ...]:
    _, target, order = _digits()
    pool = order[_N_TRAINING_DIGITS:] if held_out else order[:_N_TRAINING_DIGITS]
    return tuple(pool[target[pool] == value] for value in range(10))


@cache
def _shape_mask(kind: str, size: int) -> npt.NDArray[np.float32]:
    """Coverage of a size x size tile in [0, 1], by 4 x 4 supersampling of the exact shape."""
    points = (np.arange(size * 4) + 0.5) / (size * 4) * 2.0 - 1.0
    x, y = points[None, :], points[:, None]
    match kind:
        case "circle":
            inside = x * x + y * y <= 1.0
        case "square":
            inside = (abs(x) <= 0.86) & (abs(y) <= 0.86)
        case "triangle":
            inside = (y <= 1.0) & (y >= 2.0 * abs(x) - 1.0)
        case "cross":
            inside = (abs(x) <= 0.34) | (abs(y) <= 0.34)
        case _:
            raise KeyError(kind)
    coverage: npt.NDArray[np.float32] = inside.reshape(size, 4, size, 4).mean(axis=(1, 3), dtype=np.float32)
    return coverage


@cache
def _digit_mask(index: int, size: int) -> npt.NDArray[np.float32]:
    """An 8 x 8 digit enlarged to size x size by bilinear interpolation at pixel centres."""
    small = _digits()[0][index]
    position = np.clip((np.arange(size) + 0.5) * 8.0 / size - 0.5, 0.0, 7.0)
    low = np.minimum(position.astype(np.int64), 6)
    weight = (position - low).astype(np.float32)
    rows = small[low] * (1 - weight)[:, None] + small[low + 1] * weight[:, None]
    image: npt.NDArray[np.float32] = rows[:, low] * (1 - weight) + rows[:, low + 1] * weight
    return image


def sample_scene(rng: np.random.Generator, *, held_out: bool) -> Scene:
    """Draw a scene of 3 to 6 objects, up to 2 of them digits.

    Colours and shapes come from a small pool per scene, so that counts above one and questions that
    need two attributes are common. `held_out` picks digits that no training scene contains.
    """
    n_objects = int(rng.integers(3, 7))
    cells = rng.permutation(GRID * GRID)[:n_objects]
    n_digits = int(rng.choice(3, p=[0.2, 0.5, 0.3]))
    colors = rng.permutation(list(COLORS))[: int(rng.integers(3, 6))]
    shapes = rng.permutation(SHAPES)[: int(rng.integers(2, 5))]
    objects = []
    for i, cell in enumerate(cells):
        value = int(rng.integers(10)) if i < n_digits else None
        objects.append(
            SceneObject(
                cell=int(cell),
                kind="digit" if value is not None else str(rng.choice(shapes)),
                color=str(rng.choice(colors)),
                size=int(rng.choice(_SIZES)),
                shift=(int(rng.integers(-2, 3)), int(rng.integers(-2, 3))),
                tint=_triple(rng, -14, 15),
                digit_index=None if value is None else int(rng.choice(_digit_pool(held_out)[value])),
                digit=value,
            )
        )
    return Scene(background=_triple(rng, 0, 50), noise=int(rng.integers(2**31)), objects=tuple(objects))


def _triple(rng: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = rng.integers(low, high, 3).tolist()
    return red, green, blue


def render(scene: Scene) -> npt.NDArray[np.uint8]:
    """Draw a scene as an RGB image of shape (96, 96, 3)."""
    n_bytes = IMAGE_SIZE * IMAGE_SIZE * 3 * 4
    raw = np.frombuffer(np.random.PCG64(scene.noise).random_raw(n_bytes // 8).tobytes(), dtype=np.uint8)
    # The sum of four uniform bytes is close to normal: mean 510, variance 4 (256^2 - 1) / 12.
    noise = raw.reshape(4, -1).sum(axis=0, dtype=np.int32).reshape(IMAGE_SIZE, IMAGE_SIZE, 3) - 510
    image = np.array(scene.background, dtype=np.float32) + np.float32(_NOISE_AMPLITUDE / 147.8) * noise.astype(
        np.float32
    )
    for item in scene.objects:
        mask = (
            _shape_mask(item.kind, item.size) if item.digit_index is None else _digit_mask(item.digit_index, item.size)
        )
        top = item.row * CELL + (CELL - item.size) // 2 + item.shift[0]
        left = item.column * CELL + (CELL - item.size) // 2 + item.shift[1]
        window = image[top : top + item.size, left : left + item.size]
        color = np.array(COLORS[item.color], dtype=np.float32) + np.array(item.tint, dtype=np.float32)
        window += mask[..., None] * (color - window)
    pixels: npt.NDArray[np.uint8] = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return pixels
