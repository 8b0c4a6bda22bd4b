"""The command `skip-it plan-size`: how many units a guarantee will need, from a guess or a pilot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from redundancy.errors import InvalidInputError
from redundancy.files.reading import read_text

__all__ = ["plan_size"]


def plan_size(
    risk: Annotated[float, typer.Option(help="Tolerated risk, in (0, 1).")] = 0.02,
    expect: Annotated[
        float | None, typer.Option(help="Guess of the share of inputs on which the plan loses, below --risk.")
    ] = None,
    pilot: Annotated[
        Path | None, typer.Option(help="A choice.json of other data, whose losses tell what to expect.")
    ] = None,
    plan: Annotated[str | None, typer.Option(help="Plan of the pilot, as written there; the last by default.")] = None,
    power: Annotated[float, typer.Option(help="Wanted probability that the plan is certified, in (0, 1).")] = 0.8,
    confidence: Annotated[float, typer.Option(help="Confidence level of the guarantee, in (0, 1).")] = 0.95,
    shares: Annotated[
        int, typer.Option(help="Chains or plans among which the error is shared; select has two chains.", min=1)
    ] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say how many independent units (images) a guarantee will need, before any is measured.

    Needs no model. The data of the pilot must not serve the choice again.

    Example: skip-it plan-size --risk 0.02 --expect 0.005
    """
    from redundancy.risk.choices import ChoiceRecord
    from redundancy.risk.sample_size import sample_size, sample_size_of_pilot

    if (expect is None) == (pilot is None):
        got = "none" if expect is None else "both"
        raise InvalidInputError(f"need --expect or --pilot, got {got}; guess a share, or name a choice.json")
    options = {"power": power, "confidence_level": confidence, "n_shares": shares}
    if expect is not None:
        if plan is not None:
            raise InvalidInputError("need --pilot to take --plan, got --expect; drop one")
        found = sample_size(risk, expect, **options)  # type: ignore[arg-type]
    elif pilot is not None:
        try:
            text = read_text(pilot, "a readable pilot")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"need a choice.json for --pilot, {pilot} cannot be read: {error}") from None
        control = ChoiceRecord.from_json(text).control
        names = [test.name for test in control.tests]
        if plan is not None and plan not in names:
            raise InvalidInputError(f"need a plan of the pilot, got {plan!r}; there are {', '.join(names)}")
        losses = control.table.per_unit()[names.index(plan) if plan is not None else -1]
        if control.kind == "binomial":
            found = sample_size(risk, float(losses.mean()), **options)  # type: ignore[arg-type]
        else:
            found = sample_size_of_pilot(losses, risk, kind=control.kind, **options)  # type: ignore[arg-type]
    typer.echo(json.dumps(found.to_record(), indent=1) if as_json else found.sentence)
