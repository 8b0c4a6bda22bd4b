"""Options that every command has: a TOML file that fills in for flags, printing the settings, and quiet."""

from __future__ import annotations

import difflib
import functools
import inspect
import json
import math
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from redundancy.commands.printing import echo
from redundancy.errors import InvalidInputError

__all__ = ["CONFIG_FILE", "config_text", "is_quiet", "refuse_idle", "with_common_options"]

CONFIG_FILE = "config.toml"
_OWN = ("config", "print_config", "quiet")
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def is_quiet() -> bool:
    """Whether the running command was asked to print its result only."""
    return _quiet.get()


def refuse_idle(ctx: typer.Context, names: Sequence[str], *, wanted: str, got: str) -> None:
    """Refuse options that would have no effect in this call.

    Parameters
    ----------
    ctx : typer.Context
        Of the running command.
    names : sequence of str
        Parameters of its function that need what is `wanted`.
    wanted, got : str
        What these options need, and what came in its place, for the message.

    Raises
    ------
    InvalidInputError
        If one of them was given as a flag, or by a file with another value than the default: a file that a run wrote
        holds the defaults too.
    """
    defaults = {parameter.name: parameter.default for parameter in ctx.command.params}

    def is_given(name: str) -> bool:
        source = ctx.get_parameter_source(name)
        if source is None or source.name == "DEFAULT":
            return False
        return source.name == "COMMANDLINE" or ctx.params[name] != defaults[name]

    given = [f"--{name.replace('_', '-')}" for name in names if is_given(name)]
    if given:
        raise InvalidInputError(
            f"need {wanted} with {', '.join(given)}, got {got}; drop the option or give what it is for"
        )


def with_common_options(name: str, function: Callable[..., None]) -> Callable[..., None]:
    """Give a command's function the options ``--config``, ``--print-config`` and ``--quiet``.

    Parameters
    ----------
    name : str
        The command, and the table of the TOML file that it reads.
    function : callable
        As typer takes it; its parameters are the settings.

    Returns
    -------
    callable
        Runs `function` with flags before values of the file before defaults. A folder that the run makes at ``--out``
        also receives the settings it ran with, as ``config.toml``.

    Raises
    ------
    InvalidInputError
        On use, if the file cannot be read, or names a table key that is no option of the command.
    """
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    names = {_option_name(key, hint): key for key in signature.parameters if (hint := hints[key]) is not typer.Context}

    def fill_in(ctx: typer.Context, path: Path | None) -> Path | None:
        # Eager, so that the values are there before the other parameters look for their defaults.
        if path is not None:
            ctx.default_map = {**(ctx.default_map or {}), **_read(path, name, names)}
        return path

    def waive(ctx: typer.Context, asked: bool) -> bool:
        # Eager as well: whoever asks for the settings need not give the arguments that a run needs.
        for parameter in ctx.command.params if asked else ():
            parameter.required = False
        return asked

    @functools.wraps(function)
    def command(**settings: Any) -> None:
        asked = {key: settings.pop(key) for key in _OWN}
        if asked["print_config"]:
            echo(config_text(name, {option: settings[key] for option, key in names.items()}), nl=False)
            return
        with _quietly(asked["quiet"]), _saving(name, {option: settings[key] for option, key in names.items()}):
            function(**settings)

    added = {
        "config": Annotated[
            Path | None,
            typer.Option(
                callback=fill_in, is_eager=True, help=f"TOML file whose table {name} fills in for flags; flags win."
            ),
        ],
        "print_config": Annotated[
            bool,
            typer.Option(
                "--print-config",
                callback=waive,
                is_eager=True,
                help="Print the settings as TOML and do nothing else.",
            ),
        ],
        "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars and no commentary.")],
    }
    parameters = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in signature.parameters.values()]
    defaults: dict[str, Any] = {"config": None, "print_config": False, "quiet": False}
    parameters += [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=defaults[key], annotation=hint)
        for key, hint in added.items()
    ]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return command


def config_text(name: str, settings: Mapping[str, Any]) -> str:
    """Settings of a command as a TOML table that ``--config`` reads; what is not set is a comment."""
    lines = [f"[{name}]"]
    for option, value in settings.items():
        lines.append(f"# {option} is not set" if value is None else f"{option} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _option_name(key: str, hint: Any) -> str:
    """The name that a user types: that of the flag, or of the argument."""
    for part in getattr(hint, "__metadata__", ()):
        # Inside Annotated, typer keeps the first flag in the place of the default.
        for flag in (getattr(part, "default", None), *(getattr(part, "param_decls", None) or ())):
            if isinstance(flag, str) and flag.startswith("--"):
                return str(flag).split("/")[0].removeprefix("--")
    return key.replace("_", "-")


def _read(path: Path, name: str, names: Mapping[str, str]) -> dict[str, Any]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"need a readable TOML file, {path} gives: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInputError(f"need a TOML file in UTF-8, {path} is none: {error}") from error
    loose = [key for key, value in tables.items() if not isinstance(value, dict)]
    if loose:
        raise InvalidInputError(
            f"need settings in a table that names their command, {path} has {loose[0]!r} outside of one; "
            f"put it below a line [{name}]"
        )
    table = tables.get(name, {})
    for option in table:
        if option not in names:
            near = difflib.get_close_matches(option.replace("_", "-"), names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"see skip-it {name} --help"
            raise InvalidInputError(f"need options of skip-it {name} in [{name}] of {path}, got {option!r}; {hint}")
    return {names[option]: value for option, value in table.items()}


@contextmanager
def _quietly(quiet: bool) -> Iterator[None]:
    token, stream = _quiet.set(quiet), sys.stderr
    if quiet:
        # Progress bars are off where the stream is no terminal; warnings and errors still come through.
        sys.stderr = _NoTerminal(stream)
    try:
        yield
    finally:
        sys.stderr = stream
        _quiet.reset(token)


class _NoTerminal:
    """A stream that is passed on as it is and says that it is no terminal."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return False


@contextmanager
def _saving(name: str, settings: Mapping[str, Any]) -> Iterator[None]:
    """Write the settings into the folder of results, if this very run made or resumed it."""
    out = settings.get("out")
    mine = isinstance(out, Path) and (not out.exists() or bool(settings.get("resume")))
    try:
        yield
    finally:
        if mine and out is not None and out.is_dir() and not (out / CONFIG_FILE).exists():
            (out / CONFIG_FILE).write_text(config_text(name, settings), encoding="utf-8")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
