"""Questions about a scene in seven families, each answered by one word that depends on the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from extraction.default_model.scenes import COLORS, COLUMNS, ROWS, SHAPES, Scene, SceneObject

__all__ = ["FAMILIES", "VOCABULARY", "Question", "ask", "sample_questions"]

_T = TypeVar("_T")
_PLURAL = {"circle": "circles", "square": "squares", "triangle": "triangles", "cross": "crosses"}
_LETTERS = ("A", "B", "C", "D")
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "<image>")
VOCABULARY = (
    *SPECIAL_TOKENS,
    *("USER:", "ASSISTANT:", "?", "nothing", "yes", "no"),
    *COLORS,
    *SHAPES,
    *_PLURAL.values(),
    *ROWS,
    *COLUMNS,
    *(str(i) for i in range(10)),
    *_LETTERS,
    *("digit", "what", "color", "shape", "object", "objects", "is", "are", "the", "there"),
    *("a", "how", "many", "at", "above", "below", "left-of", "right-of"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question of one family in space-separated words, and its one-word answer."""

    family: str
    text: str
    answer: str


def _pick(rng: np.random.Generator, items: Sequence[_T]) -> _T:
    return items[int(rng.integers(len(items)))]


def _place(item_cell: int) -> str:
    return f"{ROWS[item_cell // 3]} {COLUMNS[item_cell % 3]}"


def _unique(objects: Sequence[SceneObject], attribute: str) -> list[SceneObject]:
    values = [getattr(o, attribute) for o in objects]
    return [o for o in objects if values.count(getattr(o, attribute)) == 1]


def _unique_shapes(scene: Scene) -> list[SceneObject]:
    return [o for o in _unique(scene.objects, "kind") if o.kind != "digit"]


def _color(scene: Scene, rng: np.random.Generator) -> tuple[str, str] | None:
    unique = _unique_shapes(scene)
    if unique and rng.random() < 0.6:
        item = _pick(rng, unique)
        return f"what color is the {item.kind} ?", item.color
    item = _pick(rng, scene.objects)
    return f"what color is the object at the {_place(item.cell)} ?", item.color


def _shape(scene: Scene, rng: np.random.Generator) -> tuple[str, str] | None:
    unique = [o for o in _unique(scene.objects, "color") if o.kind != "digit"]
    if unique and rng.random() < 0.5:
        item = _pick(rng, unique)
        return f"what shape is the {item.color} object ?", item.kind
    cell = _pick(rng, scene.objects).cell if rng.random() < 0.85 else int(rng.integers(9))
    kinds = {o.cell: o.kind for o in scene.objects}
    return f"what is at the {_place(cell)} ?", kinds.get(cell, "nothing")


def _digit(scene: Scene, rng: np.random.Generator) -> tuple[str, str] | None:
    digits = [o for o in scene.objects if o.kind == "digit"]
    if not digits:
        return None
    item = _pick(rng, digits)
    if len(digits) == 1 and rng.random() < 0.5:
        return "what is the digit ?", str(item.digit)
    if item in _unique(digits, "color") and rng.random() < 0.5:
        return f"what is the {item.color} digit ?", str(item.digit)
    return f"what digit is at the {_place(item.cell)} ?", str(item.digit)


def _exist(scene: Scene, rng: np.random.Generator) -> tuple[str, str] | None:
    present = {(o.color, o.kind) for o in scene.objects}
    if rng.random() < 0.5:
        color, kind = _pick(rng, sorted(present))
        return f"is there a {color} {kind} ?", "yes"
    # Hard negatives: colour and kind both occur in the scene, but never on one object.
    colors, kinds = sorted({c for c, _ in present}), sorted({k for _, k in present})
    hard = [(c, k) for c in colors for k in kinds if (c, k) not in present]
    every = [(c, k) for c in COLORS for k in (*SHAPES, "digit") if (c, k) not in present]
    color, kind = _pick(rng, hard if hard and rng.random() < 0.8 else every)
    return f"is there a {color} {kind} ?", "no"


def _count(scene: Scene, rng: np.random.Generator) -> tuple[str, str] | None:
    if rng.random() < 0.5:
        kind = _pick(rng, SHAPES)
        n, text = sum(o.kind == kind for o in scene.objects), f"how many {_PLURAL[kind]} are there ?"
    else:
        color = _pick(rng, tuple(COLORS))
        n, text = sum(o.color == color for o in scene.objects), f"how many {color} objects are there ?"
    keep = {0: 0.35, 1: 0.6, 2: 1.0, 3: 1.0, 4: 1.0}.get(n, 0.0)  # flatten the law of the answers
    return (text, str(n)) if rng.random() < keep else None


def _relation(scene: Scene, rng: np.random.Generator) -> tuple[str, str] | None:
    by_kind = rng.random() < 0.5
    candidates = _unique_shapes(scene) if by_kind else _unique(scene.objects, "color")
    if len(candidates) < 2:
        return None
    first, second = (candidates[i] for i in rng.permutation(len(candidates))[:2])
    horizontal = rng.random() < 0.5
    a, b = (first.column, second.column) if horizontal else (first.row, second.row)
    if a == b:
        return None
    less, more = ("left-of", "right-of") if horizontal else ("above", "below")
    said = less if rng.random() < 0.5 else more
    name = (lambda o: o.kind) if by_kind else (lambda o: f"{o.color} object")
    return f"is the {name(first)} {said} the {name(second)} ?", "yes" if (a < b) == (said == less) else "no"


def _choice(scene: Scene, rng: np.random.Generator) -> tuple[str, str] | None:
    ask_color = rng.random() < 0.5
    candidates = _unique_shapes(scene) if ask_color else _unique(scene.objects, "color")
    if not candidates:
        return None
    item = _pick(rng, candidates)
    answer = item.color if ask_color else item.kind
    text = f"what color is the {item.kind} ?" if ask_color else f"what is the {item.color} object ?"
    others = [v for v in (COLORS if ask_color else (*SHAPES, "digit")) if v != answer]
    options = [others[i] for i in rng.permutation(len(others))[:3]]
    position = int(rng.integers(4))
    options.insert(position, answer)
    return text + "".join(f" {letter} {o}" for letter, o in zip(_LETTERS, options, strict=True)), _LETTERS[position]


_ASK: dict[str, Callable[[Scene, np.random.Generator], tuple[str, str] | None]] = {
    "color": _color,
    "shape": _shape,
    "digit": _digit,
    "exist": _exist,
    "count": _count,
    "relation": _relation,
    "choice": _choice,
}
FAMILIES = tuple(_ASK)


def ask(scene: Scene, family: str, rng: np.random.Generator) -> Question | None:
    """Draw one question of a family, or None if the scene does not fit it."""
    drawn = _ASK[family](scene, rng)
    return None if drawn is None else Question(family, *drawn)


def sample_questions(
    scene: Scene, n: int, rng: np.random.Generator, *, families: Sequence[str] = FAMILIES
) -> list[Question]:
    """Draw up to `n` distinct questions about a scene, families in turn."""
    found: list[Question] = []
    for _ in range(8):
        for i in rng.permutation(len(families)):
            question = ask(scene, families[i], rng)
            if question is not None and question not in found:
                found.append(question)
            if len(found) == n:
                return found
    return found
