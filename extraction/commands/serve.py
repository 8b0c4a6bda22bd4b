"""`skip-it serve`: a model under a plan, behind OpenAI's chat protocol."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from extraction.commands.support import EMBEDDED, hush_libraries, need_extras, note
from redundancy.errors import InvalidInputError

if TYPE_CHECKING:
    from extraction.skip.plan import Plan
    from extraction.study.choice import PlanChoice

__all__ = ["serve"]

_KEY = "SKIP_IT_API_KEY"


def serve(
    model: Annotated[str, typer.Argument(help=f"Model folder, or {EMBEDDED!r}.")],
    plan: Annotated[str, typer.Option(help="A choice.json of select, or a plan as text.")] = "identity",
    host: Annotated[
        str, typer.Option(help="Address to listen on; this one is reached from this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    name: Annotated[str | None, typer.Option(help="What clients call it; its folder's name by default.")] = None,
    max_batch: Annotated[int, typer.Option(help="Requests that share a forward pass.", min=1)] = 8,
    max_queue: Annotated[int, typer.Option(help="Requests that may wait.", min=1)] = 64,
    max_tokens: Annotated[int, typer.Option(help="Longest answer.", min=1)] = 512,
    max_pixels: Annotated[int, typer.Option(help="Largest picture.", min=1)] = 16_000_000,
    max_bytes: Annotated[int, typer.Option(help="Largest request.", min=1)] = 20_000_000,
    audit: Annotated[float, typer.Option(help="Share of answers also computed without the plan.")] = 0.0,
    audit_risk: Annotated[float | None, typer.Option(help="Tolerated share of changed answers.")] = None,
    audit_log: Annotated[Path | None, typer.Option(help="File that keeps the evidence; see watch.")] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="A torch device, or how to spread the layers.")] = "cpu",
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the folder's code.")] = False,
) -> None:
    """Serve chat completions with images, streamed or whole, under a plan. An API key is read from SKIP_IT_API_KEY.

    Example: skip-it serve ./llava-1.5-7b-hf --plan choice/choice.json --audit 0.01 --audit-log audit.json
    """
    need_extras("torch", "transformers", "starlette", "uvicorn", "prometheus_client")
    import uvicorn

    from extraction import default_model
    from extraction.models.loading import load_model_and_processor
    from extraction.serve import Auditor, Batcher, Limits, build_app

    hush_libraries()
    chosen, choice = _plan(plan)
    auditor = None
    if audit > 0.0:
        risk = choice.risk if audit_risk is None and choice is not None and choice.loss == "answer" else audit_risk
        if risk is None:
            raise InvalidInputError(
                "need --audit-risk, the tolerated share of changed answers, for only a choice with the loss 'answer' "
                "states one; name it"
            )
        auditor = Auditor(risk, share=audit, path=audit_log)
    elif audit_log is not None or audit_risk is not None:
        raise InvalidInputError("need --audit with --audit-log and --audit-risk, got none; give a share like 0.01")
    is_embedded = model == EMBEDDED
    loaded, processor = load_model_and_processor(
        str(default_model.PATH) if is_embedded else model,
        dtype="float32" if is_embedded and dtype == "auto" else dtype,
        device=device,
        trust_remote_code=trust_remote_code,
    )
    limits = Limits(body_bytes=max_bytes, pixels=max_pixels, new_tokens=max_tokens, queue=max_queue, batch=max_batch)
    batcher = Batcher(loaded, processor, chosen, limits)
    if auditor is not None:
        batcher.on_answer = lambda job: auditor.consider(job, batcher)
    title = name or (EMBEDDED if is_embedded else Path(model).resolve().name)
    app = build_app(batcher, name=title, api_key=os.environ.get(_KEY) or None, auditor=auditor)
    note(f"Serving {title} under {chosen} on http://{host}:{port}/v1 (Ctrl-C or SIGTERM ends it when all is answered)")
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_keep_alive=5)


def _plan(text: str) -> tuple[Plan, PlanChoice | None]:
    """The plan, and the choice that it comes from, if it comes from a file."""
    from extraction.skip import parse_plan
    from extraction.study.choice import PlanChoice

    path = Path(text)
    if path.suffix != ".json":
        return parse_plan(text), None
    try:
        choice = PlanChoice.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"need a plan or a readable choice, {path} gives: {error.strerror}") from error
    return choice.chosen, choice
