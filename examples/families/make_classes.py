"""Write docs/model_classes.md: what the skip engine does with every image-text-to-text class of transformers.

Run from the repository root: python examples/families/make_classes.py
"""

from __future__ import annotations

import argparse
import datetime
import warnings
from collections import Counter
from pathlib import Path

import torch
import transformers
from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as NAMES

from extraction.skip import vision_exit
from extraction.skip.engine.capabilities import MEASURED
from extraction.skip.engine.support import dissect
from redundancy.errors import SkipItError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "model_classes.md"
KINDS = ("measured", "not measured", "refused", "not built")

INTRODUCTION = """\
# Every image-text-to-text class

What `apply` does with a model of every class that transformers {transformers} calls image-text-to-text. Written by
`examples/families/make_classes.py` on {date}: each class is built from its default configuration on the meta device,
and asked for `vision_exit(1)`.

- **measured** ({measured}): a tiny model of the family passes the checks of [the table of families](model_support.md).
- **not measured** ({unmeasured}): nothing speaks against it. `apply` warns, and runs the self-check on yours first.
- **refused** ({refused}): `apply` raises the sentence given here.
- **not built** ({unbuilt}): the default configuration needs a package that is not here, or does not make a model.
"""


def examine(model_type: str) -> tuple[str, str]:
    """Verdict on a class, and its reason."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = getattr(transformers, NAMES[model_type])(CONFIG_MAPPING[model_type]())
    except Exception as error:
        return "not built", f"{type(error).__name__}: {str(error).strip().splitlines()[0][:100]}"
    try:
        try:
            dissect(model, vision_exit(1), layers_path=None, vision_ids=None)
        except SkipItError as error:
            if "pass vision_ids" not in str(error):
                raise
            dissect(model, vision_exit(1), layers_path=None, vision_ids=(1,))  # as a checkpoint's configuration would
    except SkipItError as error:
        return "refused", str(error)
    return ("measured" if model.config.model_type in MEASURED else "not measured"), ""


def page() -> str:
    """Whole page."""
    rows = [(name, NAMES[name], *examine(name)) for name in sorted(NAMES)]
    counts = Counter(row[2] for row in rows)
    numbers = dict(zip(("measured", "unmeasured", "refused", "unbuilt"), (counts[k] for k in KINDS), strict=True))
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    lines = ["| type | class | verdict | why |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {kind} | {verdict} | {why.replace('|', '/')} |" for name, kind, verdict, why in rows]
    start = INTRODUCTION.format(transformers=transformers.__version__, date=date, **numbers)
    return start + "\n" + "\n".join(lines) + "\n"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE)
    out = parser.parse_args().out
    transformers.logging.set_verbosity_error()
    out.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
