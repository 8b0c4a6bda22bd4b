"""Does theory predict practice? Measure the trained models, score every predictor, write the page.

    python examples/study/train_models.py --out ~/.cache/skip-it-study
    python examples/study/run_study.py --models ~/.cache/skip-it-study

Writes docs/theory_and_practice.json, the page theory_and_practice.md beside it and its figures. What was measured
of a model is kept in its folder, so an interrupted run goes on. `--page-only` makes the page anew from the JSON.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tqdm.auto import tqdm

from redundancy import __version__
from study_measure import DEFAULT, measure
from study_models import SPECS
from study_page import write_page
from study_scores import analyse

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMA = "skip-it/study/1"
MARGIN = 0.2  # a model takes part if it is this much above the best that is reached without the image


def rounded(value: Any, digits: int = 6) -> Any:
    """The same record with numbers to so many significant digits, and None for NaN."""
    if isinstance(value, dict):
        return {key: rounded(v, digits) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v, digits) for v in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def measured(folder: Path, settings: dict[str, int], only: list[str] | None = None) -> list[dict[str, Any]]:
    """Records of all models that are trained, measured now or before with the same settings."""
    records = []
    for spec in (DEFAULT, *SPECS):
        home = folder / spec.name
        if only and spec.name not in only:
            continue
        if spec is not DEFAULT and not (home / "spec.json").exists():
            print(f"{spec.name}: not trained, left out; see train_models.py")
            continue
        home.mkdir(parents=True, exist_ok=True)
        path = home / ("cells-" + "-".join(str(v) for v in settings.values()) + ".json")
        if not path.exists():
            started = time.perf_counter()
            record = rounded(measure(spec, folder, **settings))
            record["seconds"] = round(time.perf_counter() - started, 1)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(record))
            os.replace(part, path)
        records.append(json.loads(path.read_text()))
        print(f"{spec.name}: accuracy {records[-1]['accuracy']:.3f}, {records[-1]['baselines']}", flush=True)
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("~/.cache/skip-it-study"))
    parser.add_argument("--out", type=Path, default=DOCS)
    parser.add_argument("--harvest", type=int, default=150, help="samples behind the statistics of a model")
    parser.add_argument("--test", type=int, default=400, help="other samples, on which losses are measured")
    parser.add_argument("--only", nargs="+", help="measure and score these models only")
    parser.add_argument("--quick", action="store_true", help="40 and 60 samples, few repetitions")
    parser.add_argument("--page-only", action="store_true", help="make the page from the JSON that is there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = args.out / "theory_and_practice.json"
    if not args.page_only:
        started = time.perf_counter()
        settings = {"n_harvest": 40, "n_test": 60} if args.quick else {"n_harvest": args.harvest, "n_test": args.test}
        records = measured(args.models.expanduser(), settings, args.only)
        taken = [r for r in records if r["accuracy"] >= max(r["baselines"].values()) + MARGIN]
        dropped = [{k: r[k] for k in ("name", "accuracy", "baselines")} for r in records if r not in taken]
        bar = tqdm(desc="scores", total=1, disable=None)
        analysis = analyse(taken, **({"n_bootstrap": 20, "repeats": 20} if args.quick else {}))
        bar.update()
        record = {
            "schema": SCHEMA,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": {"cores": os.cpu_count(), "threads": 1, "platform": platform.machine()},
            "versions": {
                "skip-it": __version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "numpy": np.__version__,
            },
            "seconds": round(time.perf_counter() - started, 1),
            "margin": MARGIN,
            "models": taken,
            "dropped": dropped,
            "not_measured": [s.name for s in (DEFAULT, *SPECS) if s.name not in {r["name"] for r in records}],
            **rounded(analysis),
        }
        path.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    write_page(json.loads(path.read_text()), args.out)


if __name__ == "__main__":
    main()
