"""Write docs/model_support.md: what holds for which family of models on the transformers at hand.

Run from the repository root: python examples/families/make_table.py
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

import torch
import transformers

from extraction.models.adapters import adapt
from extraction.skip import Plan
from extraction.tiny import TINY_FAMILIES, TinyFamily, tiny_family
from extraction.tiny.invariants import INVARIANTS, Invariant
from extraction.tiny.plans import PLANS, check_plan
from extraction.tiny.video import VIDEO_FAMILIES, tiny_video_family

PAGE = Path(__file__).resolve().parents[2] / "docs" / "model_support.md"

INTRODUCTION = """\
# Which models work

Measured by `examples/families/make_table.py` on {date} with transformers {transformers} and torch {torch}, on a CPU.
Each family is a tiny random model of its own configuration classes: four decoder layers of width 32, random norm
weights, real pixel inputs, three rows of different length. So this shows that the mechanics are right, not that a
certain checkpoint behaves; the self-check on the first batch of a harvest guards that, on your own model.
"""

HARVEST = """\
## Harvest

The largest error of three rows, in float32; **bold** where it is over the tolerance. The rows pass the self-check
first.
"""

VIDEO = """\
## Video

The same invariants where the rows hold a video instead of an image. InternVL and SmolVLM take the frames of a video as
images, with the placeholder of images. Their processors, and all of transformers' video processors, need torchvision.
"""

SKIPPING = """\
## Skipping

In float64. "yes": rows of a padded batch equal each alone, generation with a cache equals that without (FastV ranks
once, so there it only has to run), and late entry and vision exit equal the stock model with those tokens masked.
"prefill": the same for a forward pass, but generation is refused, since such a model generates through a part of
itself. "refused": declined with a sentence that says why.
"""

CLOSING = """\
## Any other model

[Every image-text-to-text class](model_classes.md) of transformers is measured here, runs after a self-check on your own
model, or is refused with its reason. The same check stands before a plan on a release of transformers that is not
measured; no release is refused by its number.

The general recipe finds the decoder layers and the placeholder ids of most models that transformers calls
image-text-to-text; `layers_path` and `vision_ids` of `extraction.harvest` say where they are if it does not. A model
whose layers are not what its own `output_hidden_states` report is refused with a sentence, not harvested wrongly.
"""


def measure(invariant: Invariant, family: TinyFamily) -> str:
    """Cell of the first tables."""
    error = invariant.measure(family)
    text = "0" if error == 0 else f"{error:.0e}"
    return text if error <= invariant.tolerance else f"**{text}**"


def judge(plan: Plan, name: str) -> str:
    """Cell of the third table."""
    return check_plan(tiny_family(name, dtype=torch.float64), plan)


def describe(name: str) -> tuple[str, str]:
    """Adapter of a family, and whether it has vision tokens."""
    family = tiny_family(name)
    record = adapt(family.model)
    return record.family, "yes" if sum(family.n_vision) else "no: D and VAR of vision are NaN"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def video_table() -> str:
    """Second table."""
    return table(
        ["family", *(i.name for i in INVARIANTS)],
        [[name, *(measure(i, tiny_video_family(name)) for i in INVARIANTS)] for name in VIDEO_FAMILIES],
    )


def page() -> str:
    """Whole page."""
    versions = {"transformers": transformers.__version__, "torch": torch.__version__.partition("+")[0]}
    meanings = "\n".join(f"- `{i.name}`: {i.meaning} (tolerance {i.tolerance:g})." for i in INVARIANTS)
    harvested = table(
        ["family", "adapter", "vision tokens", *(i.name for i in INVARIANTS)],
        [[name, *describe(name), *(measure(i, tiny_family(name)) for i in INVARIANTS)] for name in TINY_FAMILIES],
    )
    skipped = table(
        ["family", *(f"`{plan}`" for plan in PLANS)],
        [[name, *(judge(plan, name) for plan in PLANS)] for name in TINY_FAMILIES],
    )
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    parts = [
        INTRODUCTION.format(date=date, **versions),
        HARVEST,
        meanings + "\n",
        harvested,
        VIDEO,
        video_table(),
        SKIPPING,
        skipped,
        CLOSING,
    ]
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    parser.parse_args().out.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
