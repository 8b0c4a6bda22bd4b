"""`skip-it prove`: check every statement of the theorem ledger by machine, and the checker by its mutants."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import typer

from redundancy.bounds.ledger import find, theorems
from redundancy.certificates.registry import load_source
from redundancy.commands.printing import echo
from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = ["prove"]


def prove(
    claim: Annotated[
        str | None, typer.Argument(help='A claim of your own between entropies, as "I(Z;X|Y) <= H(X|Y)".')
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--given", help='What the claim may use, as "Y -> X -> Z" or "X = f(Y)".')
    ] = None,
    theorem: Annotated[str | None, typer.Option("--theorem", help="Print everything about one id.")] = None,
    sources: Annotated[
        list[str] | None, typer.Option("--with", help="Module or .py file with bounds and proofs of your own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print theorems and mutations as JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random laws and searches.")] = 0,
    deep: Annotated[bool, typer.Option("--deep", help="Search for hours instead of a minute.")] = False,
) -> None:
    """Prove a claim of your own, or check every statement of the ledger; exit 1 if one fails.

    A claim is proved by an identity that can be checked by hand, or refuted by a law. Of the ledger: Shannon and
    symbolic proofs; exact checks on extremal laws (exact) and on random ones (property); the largest left/right ratio
    that a search finds (tightness); false variants that must be refuted (mutants killed).

    Examples: skip-it prove "I(Z;X|Y) <= H(X|Y)", skip-it prove --theorem lipschitz.minkowski_upper
    """
    if seed < 0:
        raise InvalidInputError(f"need a seed >= 0, got {seed}")
    if as_json and markdown:
        raise InvalidInputError("need one of --json and --markdown, got both")
    if claim is not None and theorem is not None:
        raise InvalidInputError("need a claim of your own or --theorem, got both")
    if given and claim is None:
        raise InvalidInputError('need a claim that may use --given, got none; quote it, as "I(Z;X|Y) <= H(X|Y)"')
    try:
        # Here, not above: sympy and scipy take a second that `skip-it --help` should not wait for.
        from proofs_check.commands import show
        from proofs_check.rooms import add
        from proofs_check.table import Settings, examine
    except ModuleNotFoundError as error:
        raise MissingExtraError(f'proving needs {error.name}: pip install "skip-it[proofs]"') from error
    for source in sources or ():
        add(load_source(source))
    if claim is not None:
        _prove_claim(claim, given or [], as_json=as_json, seed=seed)
        return
    records = [find(theorem)] if theorem is not None else list(theorems())
    settings = Settings.deep(seed) if deep else Settings(seed=seed)
    start = time.perf_counter()
    if sys.stderr.isatty():
        with typer.progressbar(length=len(records), label="statements", file=sys.stderr) as bar:
            rows = examine(records, settings, done=lambda _: bar.update(1))
    else:
        rows = examine(records, settings)
    seconds = time.perf_counter() - start
    if as_json:
        echo(json.dumps(show.document(rows, settings, seconds), indent=1))
    elif markdown:
        echo(show.markdown_table(rows))
    elif theorem is not None:
        echo(show.whole(rows[0]))
    else:
        echo(show.text_table(rows, settings, seconds))
    if not all(row.ok for row in rows):
        raise typer.Exit(1)


def _prove_claim(claim: str, given: list[str], *, as_json: bool, seed: int) -> None:
    """Print the proof or a law that breaks the claim; exit 1 unless it is proved."""
    from proofs_check.shannon import find_counterexample, prove

    outcome = prove(claim, " and ".join(given))
    law = None if outcome.proved else find_counterexample(claim, " and ".join(given), rng=seed)
    result = "proved" if outcome.proved else "not proved" if law is None else "false"
    if as_json:
        masses = None if law is None else [[list(atom), str(p)] for atom, p in law.masses.items()]
        names = None if law is None else list(law.variables)
        body = {"claim": claim, "given": given, "result": result, "proof": str(outcome), "variables": names}
        echo(json.dumps({**body, "law": masses}, indent=1))
    else:
        echo(str(outcome if law is None else law))
        if law is None and not outcome.proved:
            echo("No law was found that breaks it: it may be true by an argument that is not Shannon's.")
    if not outcome.proved:
        raise typer.Exit(1)
