"""Write the held-out question set: families in turn, every question on an image of its own.

python examples/default_model/make_questions.py extraction/default_model/questions.jsonl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from extraction.default_model.questions import FAMILIES, ask
from extraction.default_model.scenes import sample_scene

SEED = 20261121
PER_FAMILY = 160


def main(out: Path) -> None:
    rng = np.random.default_rng(SEED)
    rows = []
    for i in range(PER_FAMILY * len(FAMILIES)):
        family, question = FAMILIES[i % len(FAMILIES)], None
        while question is None:
            scene = sample_scene(rng, held_out=True)
            question = ask(scene, family, rng)
        rows.append(
            {
                "id": f"q{i:04d}",
                "family": family,
                "question": question.text,
                "answer": question.answer,
                "scene": scene.to_dict(),
            }
        )
    out.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    print(f"{len(rows)} questions, {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
