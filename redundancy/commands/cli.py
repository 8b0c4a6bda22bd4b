"""The `skip-it` console script: finds its commands by entry point, so that no package imports upward."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer

from redundancy import __version__
from redundancy.commands.options import with_common_options
from redundancy.commands.printing import echo
from redundancy.errors import SkipItError
from redundancy.files.reading import causes

__all__ = ["GROUP", "broken_commands", "build_app", "main"]

GROUP = "skip_it.commands"
EXIT_USAGE = 2
_ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def build_app() -> typer.Typer:
    """The application with a command for every entry point; one that cannot be loaded says so when called."""
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
            echo(__version__)
            raise typer.Exit

    for name, function, fault in _commands():
        if function is not None:
            app.command(name=name)(with_common_options(name, function))
        else:
            app.command(name=name, help=f"Not available: {fault}", context_settings=_ANYTHING)(_refusal(fault))
    return app


def broken_commands() -> list[tuple[str, str]]:
    """Name and one sentence for every command that cannot be loaded."""
    return [(name, fault) for name, function, fault in _commands() if function is None]


def _commands() -> Iterator[tuple[str, Callable[..., Any] | None, str]]:
    """Name, function (None if broken) and fault of every command, by name; of equal names the first counts."""
    seen: dict[str, str] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
        if point.name in seen:
            continue
        seen[point.name] = point.value
        try:
            yield point.name, point.load(), ""
        except Exception as error:
            # A plugin may fail in any way, and the other commands must work all the same.
            yield point.name, None, _fault(point, error)


def _fault(point: EntryPoint, error: Exception) -> str:
    reason = " ".join(str(error).split()) or "no message"
    return f"the command {point.name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {reason}"


def _refusal(fault: str) -> Callable[..., None]:
    def refuse() -> None:
        raise SkipItError(fault)

    return refuse


def main() -> None:
    """Run `skip-it`; exit codes: 0 done, 1 a check found something, 2 wrong use or input."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's encoding lacks is shown with escapes
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = _show_warning
    try:
        build_app()()
    except SkipItError as error:
        # One sentence on one line, whatever a path or a foreign message put into it.
        _refuse(str(error))
    except BrokenPipeError:
        # Whoever reads the output has seen enough; nothing more can be written to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_USAGE)
    except (MemoryError, RecursionError, OverflowError, UnicodeError, OSError) as error:
        # What an input can bring about anywhere: too large, too deep, not of this encoding, not readable.
        _refuse(f"need an input that this machine can hold and read, got {type(error).__name__}: {causes(error)}")


def _refuse(sentence: str) -> None:
    echo(f"skip-it: {' '.join(sentence.split())}", err=True)
    sys.exit(EXIT_USAGE)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Say on one line what a user must know; where in the code a warning stands is for developers' warnings."""
    where = "" if issubclass(category, UserWarning) else f" ({filename}:{lineno})"
    echo(f"note: {' '.join(str(message).split())}{where}", err=True)


if __name__ == "__main__":
    main()
