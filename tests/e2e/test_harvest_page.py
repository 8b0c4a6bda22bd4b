"""The page about harvests: its commands run in order, its tables name what there is."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
import typer

from redundancy.commands.cli import build_app, main

PAGE = Path(__file__).parents[2] / "docs" / "harvest.md"
if not PAGE.is_file():
    pytest.skip("the documentation is not part of the source distribution", allow_module_level=True)
TEXT = PAGE.read_text(encoding="utf-8")


def commands():
    return [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines() if line]


def test_commands_of_the_page_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    said = {}
    for line in commands():
        arguments = shlex.split(line)
        assert arguments[0] == "skip-it"
        monkeypatch.setattr(sys, "argv", arguments)
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        said[line], err = capsys.readouterr()
        assert code == 0, (line, err)
    torch.set_num_threads(before)
    early = next(out for line, out in said.items() if "--until" in line)
    assert "Decided after" in early
    assert re.search(r"\d+ not needed", early)
    assert "the store needs" in next(out for line, out in said.items() if "--store-tokens" in line)
    files = {name for name, _ in re.findall(r"^\| `([\w.-]+)` \| (.*) \|$", section("The folder"), re.MULTILINE)}
    assert files == {
        "run.json", "part-A-B.safetensors", "faults.jsonl", "statistics.safetensors", "summary.json", "config.toml",
    }  # fmt: skip
    found = {re.sub(r"part-\d+-\d+", "part-A-B", p.name) for p in (tmp_path / "run").iterdir()} - {".lock"}
    assert found == files - {"faults.jsonl"}


def test_every_option_of_the_command_is_on_the_page():
    root = typer.main.get_command(build_app())
    flags = {
        flag
        for parameter in root.commands["harvest"].params
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if parameter.param_type_name == "option" and flag.startswith("--")
    }
    elsewhere = {"--help", "--print-config", "--quiet", "--json", "--dtype", "--trust-remote-code", "--matrix"}
    elsewhere |= {
        "--attention",
        "--threads",
        "--engine",
        "--no-allow-download",
        "--no-trust-remote-code",
    }  # of every command, or on the page about scale
    assert {flag for flag in flags - elsewhere if flag not in TEXT} == set()
    on_page = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", section("Data") + section("Activations beside")))
    assert on_page <= flags | {"--group", "--kinds", "--codes", "--bootstrap", "--jobs"}


def test_the_readme_and_the_page_on_commands_name_the_same_exit_codes():
    page = (PAGE.parent / "command_line.md").read_text(encoding="utf-8")
    readme = (PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    sentence = re.search(r"Exit codes: (.*?\.)\n\n", readme, re.DOTALL)[1]
    codes = re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    assert re.findall(r"(?:^|; )(\d+) ", sentence) == codes == ["0", "1", "2", "130"]


def section(title):
    return TEXT[TEXT.index(f"## {title}") :].split("\n## ", 2)[0]
