"""The `skip-it` console script: finds its commands by entry point, so that no package imports upward."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated

import typer

from redundancy import __version__
from redundancy.errors import SkipItError

__all__ = ["GROUP", "build_app", "main"]

GROUP = "skip_it.commands"
EXIT_USAGE = 2


def build_app() -> tuple[typer.Typer, list[str]]:
    """Return the application and a sentence for every command that could not be loaded."""
    app = typer.Typer(
        name="skip-it",
        help="Which layers can my vision-language model skip, for which tokens, how much faster, and how sure are you?",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(invoke_without_command=True)
    def root(
        version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version and exit.")] = False,
    ) -> None:
        if version:
            typer.echo(__version__)
            raise typer.Exit

    faults = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        try:
            app.command(name=point.name)(point.load())
        except Exception as error:
            # A foreign plugin may fail in any way; the other commands must work all the same.
            faults.append(_fault(point, error))
    return app, faults


def _fault(point: EntryPoint, error: Exception) -> str:
    return f"the command {point.name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {error}"


def main() -> None:
    """Run `skip-it`; exit codes: 0 done, 1 a check found something, 2 wrong use or input."""
    app, faults = build_app()
    for fault in faults:
        typer.echo(f"warning: {fault}", err=True)
    try:
        app()
    except SkipItError as error:
        typer.echo(f"skip-it: {error}", err=True)
        sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
