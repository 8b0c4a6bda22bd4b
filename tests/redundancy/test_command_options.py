"""The options that every command has: TOML settings, flags that win, printing and saving them, quiet."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import redundancy
from redundancy.commands.cli import build_app
from redundancy.commands.options import CONFIG_FILE, config_text, is_quiet, with_common_options
from redundancy.errors import InvalidInputError

seen: dict = {}


def work(
    model: Annotated[str, typer.Argument()],
    out: Path = Path("result"),
    plan: Annotated[list[str] | None, typer.Option()] = None,
    rounds: Annotated[int, typer.Option(min=0)] = 9,
    share: float = 0.5,
    resume: Annotated[bool, typer.Option("--resume")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Do the work.

    Example: work m --rounds 3
    """
    seen.update(locals(), quiet=is_quiet(), terminal=sys.stderr.isatty())
    if rounds == 13:
        raise InvalidInputError("need luck")
    out.mkdir(exist_ok=resume)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen.clear()
    app = typer.Typer()
    app.command(name="work")(with_common_options("work", work))
    app.command(name="other")(lambda: None)

    def call(*arguments, ok=True):
        result = CliRunner().invoke(app, ["work", *arguments])
        if ok:
            assert result.exit_code == 0, result.output
        return result

    return call


def test_file_fills_in_and_flags_win(run, tmp_path):
    (tmp_path / "s.toml").write_text(
        '[work]\nmodel = "m"\nrounds = 4\nplan = ["a", "b"]\njson = true\n[other]\nx = 1\n'
    )
    run("--config", "s.toml", "--rounds", "5")
    assert (seen["model"], seen["rounds"], seen["plan"], seen["as_json"], seen["share"]) == (
        "m",
        5,
        ["a", "b"],
        True,
        0.5,
    )


def test_without_a_file_nothing_changes(run):
    run("m")
    assert (seen["model"], seen["rounds"], seen["plan"], seen["as_json"]) == ("m", 9, None, False)


def test_printed_settings_run_the_same(run, tmp_path):
    printed = run("m", "--plan", 'say "x"', "--share", "0.1", "--json", "--print-config").output
    assert not seen, "printing runs nothing"
    (tmp_path / "s.toml").write_text(printed)
    run("--config", "s.toml")
    assert (seen["plan"], seen["share"], seen["as_json"], seen["out"]) == (['say "x"'], 0.1, True, Path("result"))


def test_settings_print_without_the_arguments_that_a_run_needs(run):
    assert "# model is not set" in run("--print-config").output
    assert run(ok=False).exit_code == 2


def test_a_run_keeps_its_settings_beside_its_results(run, tmp_path):
    run("m", "--rounds", "2")
    assert tomllib.loads((tmp_path / "result" / CONFIG_FILE).read_text())["work"]["rounds"] == 2
    run("m", "--rounds", "3", "--resume")
    kept = tomllib.loads((tmp_path / "result" / CONFIG_FILE).read_text())
    assert kept["work"]["rounds"] == 2, "a resumed run does not rewrite what the first one was told"


def test_the_folder_of_another_run_is_left_alone(run, tmp_path):
    (tmp_path / "result").mkdir()
    result = run("m", "--rounds", "13", ok=False)
    assert isinstance(result.exception, InvalidInputError)
    assert not list((tmp_path / "result").iterdir())


def test_quiet_says_so_to_the_command_and_to_progress_bars(run, monkeypatch):
    run("m", "-q")
    assert seen["quiet"]
    assert seen["terminal"] is False
    assert not is_quiet()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[work]\nrouns = 3\n", "did you mean 'rounds'"),
        ("[work]\nas_json = true\n", "got 'as_json'"),
        ("[work]\nzzz = 3\n", "see skip-it work --help"),
        ("rounds = 3\n", r"below a line \[work\]"),
        ("[work\n", "is none"),
    ],
)
def test_faults_of_a_file_are_one_sentence(run, tmp_path, text, says):
    (tmp_path / "s.toml").write_text(text)
    error = run("m", "--config", "s.toml", ok=False).exception
    assert isinstance(error, InvalidInputError)
    assert re.search(says, str(error))
    assert not seen


def test_a_missing_file_and_a_wrong_type_are_refused(run, tmp_path):
    assert "No such file" in str(run("m", "--config", "no.toml", ok=False).exception)
    (tmp_path / "s.toml").write_text('[work]\nrounds = "many"\n')
    assert run("m", "--config", "s.toml", ok=False).exit_code == 2
    (tmp_path / "s.toml").write_text("[work]\nrounds = -1\n")
    assert run("m", "--config", "s.toml", ok=False).exit_code == 2


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True),
        st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text() | st.lists(st.text()),
    )
)
def test_every_value_survives_the_file(settings):
    assert tomllib.loads(config_text("t", settings)) == {"t": settings}


def test_every_command_has_the_three_options():
    for command in typer.main.get_command(build_app()).commands.values():
        assert {"config", "print_config", "quiet"} <= {p.name for p in command.params}, command.name


def test_redundancy_imports_declared_libraries_only():
    """What is imported must be declared: a library that another one happened to bring may be gone tomorrow."""
    core = {"filelock", "lazy_loader", "numpy", "safetensors", "scipy", "typer"}
    declared = core | {"matplotlib", "jinja2", "mpl_toolkits"}  # the second set: extra `report`
    for path in Path(redundancy.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in {n.split(".")[0] for n in names}:
                assert name in declared | {"redundancy"} or name in sys.stdlib_module_names, f"{path.name}: {name}"
