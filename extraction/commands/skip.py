"""Commands that skip for real: `skip-it validate` and `skip-it select`. torch is imported when they run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from extraction.commands.support import (
    EMBEDDED,
    AsJson,
    Batch,
    Confidence,
    Data,
    Risk,
    counted,
    need_extras,
    new_folder,
    note,
    read_input,
    say,
)
from redundancy.commands.options import refuse_idle
from redundancy.errors import InvalidInputError
from redundancy.files.writing import write_text
from redundancy.interval import text_down, text_up

if TYPE_CHECKING:
    from extraction.skip import Plan
    from extraction.study import PlanChoice, PlanTest

__all__ = ["select", "validate"]

Model = Annotated[str, typer.Argument(help=f"Folder of a Hugging Face image-text-to-text model, or {EMBEDDED!r}.")]
Resumable = Annotated[Path, typer.Option(help="Folder for the results; must be new, or --resume.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --out.")]
Limit = Annotated[int | None, typer.Option(help="Use the first N samples only.", min=1)]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps, or auto to spread over all GPUs.")]
Download = Annotated[bool, typer.Option(help="Let the model come from a hub; off means local only.")]
RemoteCode = Annotated[bool, typer.Option(help="Run code that the model folder brings.")]


def validate(
    model: Model,
    out: Resumable,
    data: Data = None,
    plan: Annotated[
        list[str] | None,
        typer.Option(
            help='A plan, as "late_entry(2) + vision_exit(9)"; repeat for more. Default: --sweep both, without tables.'
        ),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            help="One kind of plan at every layer, with the paper's tables and curves: late_entry, vision_exit, "
            "text_exit, logit_exit or both (late entry and vision exit)."
        ),
    ] = None,
    layers: Annotated[str | None, typer.Option(help='Layers of the sweep, as "0,4,8-12"; all by default.')] = None,
    statistics: Annotated[
        Path | None,
        typer.Option(help="Harvested statistics of the same data; a sweep harvests them itself without."),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Timing rounds; 0 measures no time.", min=0)] = 9,
    confidence: Confidence = 0.95,
    batch_size: Batch = 8,
    limit: Limit = None,
    resume: Resume = False,
    dtype: Dtype = "auto",
    device: Device = "cpu",
    allow_download: Download = False,
    trust_remote_code: RemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Run plans for real: accuracy, agreement and speed beside the unmodified model, each with an interval.

    Intervals of accuracy, of its change and of agreement hold jointly for all plans; those of times hold each.

    Writes outcomes.jsonl (per sample, resumable), validation.json and validation.csv. With --sweep also the layers'
    distances beside the accuracies, in the shape of the paper's Tables 1 and 2 (records, CSV, Markdown, LaTeX), and
    accuracy against layer.

    Example: skip-it validate embedded --plan "vision_exit(9)" --plan "fastv(3, 0.5)" --out validation
    """
    need_extras("torch", "transformers")
    if 0 < rounds < 6:
        raise InvalidInputError(f"need at least 6 timing rounds for an interval, or 0 for none, got {rounds}")
    if sweep is None and (layers or statistics):
        raise InvalidInputError("need --sweep to take --layers or --statistics, got none; add --sweep both")
    if any(not text.strip() for text in plan or ()):
        raise InvalidInputError('need a plan, as "vision_exit(9)" or "identity", with --plan, got an empty text')
    wanted = None if layers is None else _layers(layers)
    loaded, processor, samples, data_name = read_input(
        model,
        data,
        limit=limit,
        dtype=dtype,
        device=device,
        allow_download=allow_download,
        trust_remote_code=trust_remote_code,
    )
    from extraction.models.adapters import adapt
    from extraction.skip import parse_plan
    from extraction.study import steps, sweep_plans, sweeping, validating
    from extraction.study.samples import settled

    samples = settled(samples)
    n_layers = adapt(loaded).n_layers
    plans = [parse_plan(text) for text in plan or ()]
    if sweep is not None:
        plans = list(dict.fromkeys([*sweep_plans(sweep, n_layers, wanted), *plans]))
    plans = plans or validating.families(loaded)
    with new_folder(out, resume=resume):
        harvested = None
        if sweep is not None:
            harvested = sweeping.distances(
                loaded,
                processor,
                samples,
                out / "statistics.safetensors",
                name=model,
                batch_size=batch_size,
                known=statistics,
            )
        evaluations = validating.run(
            loaded, processor, samples, plans, out / "outcomes.jsonl", name=model, batch_size=batch_size, resume=resume
        )
        rows = steps.plan_rows(
            loaded, processor, samples, evaluations, confidence_level=confidence, batch_size=batch_size, rounds=rounds
        )
        steps.write_rows(out, rows)
        settings = steps.StudySettings(confidence_level=confidence, batch_size=batch_size)
        steps.run_step(loaded, processor, samples, settings, out, name=model, data_name=data_name, with_baselines=False)
        if harvested is not None:
            table = sweeping.table(model, evaluations, samples, harvested, confidence_level=confidence)
            written = sweeping.write(out, table, rows, n_layers=n_layers)
            if not as_json:
                note(f"Wrote {', '.join(written)} in {out}.")
    say(json.dumps(rows, indent=1) if as_json else _table(rows))


def select(
    ctx: typer.Context,
    model: Model,
    out: Resumable,
    data: Data = None,
    risk: Risk = 0.02,
    confidence: Confidence = 0.95,
    loss: Annotated[
        str, typer.Option(help="accuracy: a right answer is lost; answer: the answer changes (needs no gold answers).")
    ] = "accuracy",
    answer_length: Annotated[
        int | None,
        typer.Option(
            help="Tokens of the greedy answer that count, 1 for the first alone. Default: the longest gold "
            "answer's, or 32.",
            min=1,
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="task: control the risk in every family of questions, not on average alone.")
    ] = None,
    method: Annotated[str, typer.Option(help="fixed_sequence, graph, holm or bonferroni.")] = "graph",
    min_speedup: Annotated[
        float, typer.Option(help="Do not spend error on plans whose predicted FLOP speed-up is below this.", min=1.0)
    ] = 1.02,
    prompt_tokens: Annotated[
        str | None,
        typer.Option(help='Vision and text tokens of a prompt, as "576,40", that speed-ups are predicted for.'),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(
            help="Look after every batch and stop once a certified plan is predicted to be so many times as fast; a "
            "larger --limit may follow with --resume.",
            min=1.0,
        ),
    ] = None,
    statistics: Annotated[
        Path | None,
        typer.Option(
            help="Harvested statistics of other samples: leave out plans that certainly move tokens far (--farther)."
        ),
    ] = None,
    prune_first: Annotated[
        int, typer.Option(help="Harvest the first N samples to prune by, and test on the others; 0 prunes nothing.")
    ] = 0,
    farther: Annotated[
        float, typer.Option(help="Mean cosine distance above which a plan is left out.", min=0.0, max=2.0)
    ] = 0.2,
    batch_size: Batch = 8,
    limit: Annotated[
        int | None, typer.Option(help="Use N samples only: the first of the hash order, whatever the file's.", min=1)
    ] = None,
    resume: Resume = False,
    dtype: Dtype = "auto",
    device: Device = "cpu",
    allow_download: Download = False,
    trust_remote_code: RemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Choose the fastest plan that loses answers on at most --risk of inputs, with a finite-sample guarantee.

    Late entries and vision exits are ordered by predicted cost before any answer is seen, run on every sample, and
    tested under risk control. No distance makes a plan safe; with --statistics or --prune-first, certified large ones
    leave plans out before they cost a run, each with the reason. Writes outcomes.jsonl (resumable) and choice.json,
    which `skip-it recheck` repeats from the stored losses. Questions about one image are one draw. Earlier choices on
    the same data are named.

    Example: skip-it select ./llava --data vqa.jsonl --risk 0.02 --confidence 0.95 --out choice
    """
    need_extras("torch", "transformers")
    if statistics is None and not prune_first:
        refuse_idle(ctx, ("farther",), wanted="--statistics or --prune-first", got="none")
    if by not in (None, "task"):
        raise InvalidInputError(f"need --by task, got {by!r}; leave it out to control the risk on average")
    counts = None if prompt_tokens is None else _two_counts(prompt_tokens)
    loaded, processor, samples, name = read_input(
        model,
        data,
        limit=None,
        dtype=dtype,
        device=device,
        allow_download=allow_download,
        trust_remote_code=trust_remote_code,
    )
    from extraction.study import validating
    from extraction.study.looks import ledger_folder
    from extraction.study.samples import in_hash_order, settled

    if limit is not None and limit < 2:
        raise InvalidInputError(f"need at least 2 samples, the i.i.d. units of every interval, got --limit {limit}")
    samples = in_hash_order(settled(samples))
    if statistics is not None and prune_first:
        raise InvalidInputError("need --statistics or --prune-first, got both; drop one")
    if prune_first and not 2 <= prune_first <= min(limit or len(samples), len(samples)) - 2:
        most = min(limit or len(samples), len(samples)) - 2
        raise InvalidInputError(f"need --prune-first in 2..{most}, with samples left to test on, got {prune_first}")
    with new_folder(out, resume=resume):
        plans = None
        if statistics is not None or prune_first:
            cut = next((k for k in range(prune_first, len(samples)) if _begins_unit(samples, k)), len(samples))
            pruned_by, samples = samples[:cut], samples[cut:]
            limit = None if limit is None else max(2, limit - cut)
            plans = _pruned(loaded, processor, pruned_by, samples, out, statistics, farther, model, batch_size, as_json)
        choice = validating.choose(
            loaded,
            processor,
            samples,
            out / "outcomes.jsonl",
            name=model,
            plans=plans,
            loss=loss,
            risk=risk,
            confidence_level=confidence,
            method=method,
            min_speedup=min_speedup,
            answer_length=answer_length,
            by_family=by == "task",
            prompt_tokens=counts,
            until=until,
            limit=limit,
            looks=ledger_folder(),
            batch_size=batch_size,
            resume=resume,
        )
        write_text(out / "choice.json", choice.to_json())
    if as_json:
        say(choice.to_json())
        return
    tested = [test for test in choice.tests if test.is_tested]
    say(f"\n{name}: {counted(len(choice.tests), 'plan')} in order of cost, {len(tested)} tested.\n")
    say(_choice_table(choice, tested))
    for sentence in _group_sentences(choice):
        say(sentence)
    say(f"\nChosen plan: {choice.chosen}\n{choice.summary}\nWrote {out / 'choice.json'}.")


def _begins_unit(samples: list[Any], k: int) -> bool:
    """Whether the k-th sample is the first of its unit: a unit is not cut between pruning and testing."""
    return k == 0 or samples[k].unit != samples[k - 1].unit


def _two_counts(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", text)
    if match is None or not int(match[2]):
        raise InvalidInputError(f'need --prompt-tokens as "VISION,TEXT", such as "576,40", got {text!r}')
    return int(match[1]), int(match[2])


def _group_sentences(choice: PlanChoice) -> list[str]:
    """Which groups keep a tested plan from being certified."""
    control = choice.control
    if control.table.groups is None:
        return []
    said = []
    for test in control.tests:
        if test.is_tested and not test.is_certified:
            weak = {g: p for g, p in control.group_p_values(test.name).items() if p > test.level}
            names = ", ".join(f"{group or 'no task'} (p = {text_up(p, 2)})" for group, p in sorted(weak.items()))
            said.append(f"{test.name} is not certified for: {names}.")
    return said


def _pruned(
    model: Any,
    processor: Any,
    pruned_by: list[Any],
    tested_on: list[Any],
    out: Path,
    known: Path | None,
    farther: float,
    name: str,
    batch_size: int,
    as_json: bool,
) -> list[Plan]:
    """Plans worth testing; prints why each of the others is not. More than eight parameters, as settled by flags."""
    from extraction.study import sweeping, validating
    from extraction.study.pruning import prune

    harvested = sweeping.distances(
        model,
        processor,
        pruned_by,
        out / "statistics.safetensors",
        name=name,
        batch_size=batch_size,
        known=known,
        matrix=True,
    )
    plans, reasons = prune(
        validating.families(model), harvested, tested_on=[s.sample_id for s in tested_on], farther=farther
    )
    for reason in () if as_json else reasons.values():
        note(f"{reason}.")
    return plans


def _layers(text: str) -> list[int]:
    """Layers of a text as "0,4,8-12"."""
    layers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise InvalidInputError(f'need layers as "0,4,8-12", got {text!r}')
        layers += range(int(match[1]), int(match[2] or match[1]) + 1)
    return layers


def _table(rows: list[dict[str, Any]]) -> str:
    from redundancy.report.tables import DASH, format_table

    def percent(row: dict[str, Any], key: str) -> str:
        return DASH if row[key] is None else f"{100 * row[key]:.1f}"

    def interval(row: dict[str, Any], key: str, scale: float, digits: int) -> str:
        bounds = row.get(key)
        if bounds is None:
            return DASH
        low, high = (scale * end for end in bounds)
        return f"[{text_down(low, decimals=digits, sign=True)}, {text_up(high, decimals=digits, sign=True)}]"

    body = [
        [
            row["plan"],
            percent(row, "accuracy"),
            interval(row, "accuracy_change_interval", 100, 1),
            percent(row, "agreement"),
            f"{row['prefill_speedup']:.2f}" if "prefill_speedup" in row else DASH,
            f"{row['flop_speedup']:.2f}",
            f"{row['kv_share']:.2f}",
            f"{row['kv_bytes'] / 2**20:.2f}",
        ]
        for row in rows
    ]
    headers = ["plan", "accuracy %", "change, points", "agreement %", "prefill x", "FLOPs x", "KV share", "KV MiB"]
    return format_table(headers, body)


def _choice_table(choice: PlanChoice, tests: list[PlanTest]) -> str:
    from redundancy.report.tables import format_table

    uppers = choice.control.risk_uppers()
    body = [
        [
            str(t.plan),
            f"{1 / t.cost:.2f}",
            str(t.n_losses),
            text_up(t.p_value, 2),
            "yes" if t.is_certified else "no",
            text_up(uppers[str(t.plan)], decimals=3),
        ]
        for t in tests
    ]
    return format_table(["plan", "FLOPs x", "losses", "p-value", "certified", "risk at most (joint)"], body)
