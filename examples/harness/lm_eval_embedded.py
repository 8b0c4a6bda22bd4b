"""The embedded model under lm-eval, plan by plan, next to our own sweep of the same questions.

Renders the held-out questions to a folder (PNG files and questions.jsonl), runs the YAML task beside this file
through lm-eval's `hf-multimodal` class with each plan applied, and compares sample by sample.

    pip install "skip-it[extract,eval]"
    python examples/harness/lm_eval_embedded.py --out benchmark --limit 56 --plan "late_entry(2)"
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

TASK = "skip_it_embedded"


def render(folder: Path, limit: int) -> None:
    """Write images and questions.jsonl; the images are the model's own scenes, so PNG loses nothing."""
    from extraction.default_model import load_samples

    (folder / "images").mkdir(parents=True)
    lines = []
    for sample in load_samples(limit):
        name = f"images/{sample.sample_id}.png"
        sample.image.save(folder / name)
        row = {
            "id": sample.sample_id,
            "image": name,
            "question": sample.question,
            "answer": sample.answer,
            "family": sample.family,
        }
        lines.append(json.dumps(row))
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n")


def harness(model: Any, processor: Any, plan: Any, folder: Path) -> dict[str, bool]:
    """Right or wrong of each sample, as lm-eval says."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    from extraction.harness import lm_eval_model

    manager = TaskManager(
        include_path=str(Path(__file__).parent / "lm_eval_task"),
        include_defaults=False,
        metadata={"folder": str(folder)},
    )
    result = simple_evaluate(
        model=lm_eval_model(model, processor, plan, batch_size=8),
        tasks=[TASK],
        task_manager=manager,
        apply_chat_template=True,
        log_samples=True,
        bootstrap_iters=0,
    )
    return {sample["doc"]["id"]: bool(sample["exact_match"]) for sample in result["samples"][TASK]}


def own(model: Any, processor: Any, plan: Any, folder: Path) -> dict[str, bool]:
    """Right or wrong of each sample in our own sweep."""
    from extraction.data import read_jsonl
    from extraction.study import evaluate
    from extraction.study.validating import labelled_batch

    samples = read_jsonl(folder / "questions.jsonl")
    batches = (labelled_batch(model, processor, samples[i : i + 8]) for i in range(0, len(samples), 8))
    evaluation = evaluate(model, batches, plan, progress=False)
    return dict(zip(evaluation.sample_ids, map(bool, evaluation.correct), strict=True))


def main() -> None:
    """Compare on the plans of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="new folder for images and questions")
    parser.add_argument("--limit", type=int, default=56)
    parser.add_argument("--plan", action="append", default=[], help='such as "late_entry(2)"; repeat for more')
    arguments = parser.parse_args()
    # Nothing here needs a network; without these, the harness's libraries look for one.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

    from extraction.default_model import load_model, load_processor
    from extraction.skip import Plan, parse_plan

    render(arguments.out, arguments.limit)
    model, processor = load_model(), load_processor()
    for plan in [Plan(), *map(parse_plan, arguments.plan)]:
        theirs, ours = harness(model, processor, plan, arguments.out), own(model, processor, plan, arguments.out)
        same = sum(theirs[name] == ours[name] for name in ours)
        accuracies = [sum(right.values()) / len(right) for right in (theirs, ours)]
        print(
            f"{plan}: lm-eval {accuracies[0]:.4f}, own sweep {accuracies[1]:.4f}, {same} of {len(ours)} samples alike"
        )


if __name__ == "__main__":
    main()
