"""The command-line reference, taken from the very application that `skip-it` runs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Container
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from redundancy.commands.cli import build_app

COMMON = ("config", "print_config", "quiet")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive ``command-line``, which takes no argument and describes every command."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class CommandLine(SphinxDirective):
    """A section per command: what it does, how it is called, each argument and option."""

    def run(self) -> list[nodes.Node]:
        """Sections in alphabetical order; a command that cannot be loaded is an error of the build."""
        root = typer.main.get_command(build_app())
        context = root.make_context("skip-it", [], resilient_parsing=True)
        commands = {name: root.get_command(context, name) for name in sorted(root.list_commands(context))}
        sections = [self._common(next(iter(commands.values())), context)]
        for name, command in commands.items():
            if (command.help or "").startswith("Not available"):
                raise self.error(command.help)
            sections.append(self._section(name, command, context))
        return sections

    def _section(self, name: str, command: Any, context: Any) -> nodes.section:
        title = f"skip-it {name}"
        section = nodes.section(ids=[nodes.make_id(title)], names=[nodes.fully_normalize_name(title)])
        section += nodes.title(text=title)
        self.state.document.note_explicit_target(section, section)
        for paragraph in inspect.cleandoc(command.help or "").replace("\b", "").split("\n\n"):
            text = paragraph.strip()
            if not text:
                continue
            label, colon, rest = text.partition(":")
            if colon and label in ("Example", "Examples"):
                lines = "\n".join(line.strip().rstrip(",") for line in rest.strip().splitlines())
                section += nodes.literal_block(lines, lines, language="bash")
            else:
                section += nodes.paragraph("", " ".join(text.split()))
        usage = " ".join(["skip-it", name, *_arguments(command), "[OPTIONS]"])
        section += nodes.literal_block(usage, usage, language="text")
        section += self._table(_rows(command, context, without=COMMON))
        return section

    def _common(self, command: Any, context: Any) -> nodes.section:
        others = [p.name for p in command.params if p.name not in COMMON]
        section = nodes.section(ids=["options-of-every-command"], names=["options of every command"])
        section += nodes.title(text="Options of every command")
        section += self._table(
            [(h, re.sub(r"table \w+", "table of that name", t)) for h, t in _rows(command, context, without=others)]
        )
        return section

    def _table(self, rows: list[tuple[str, str]]) -> nodes.table:
        group = nodes.tgroup(cols=2)
        group += [nodes.colspec(colwidth=35), nodes.colspec(colwidth=65)]
        body = nodes.tbody()
        for head, text in rows:
            row = nodes.row()
            row += nodes.entry("", nodes.paragraph("", "", nodes.literal(text=head)))
            row += nodes.entry("", nodes.paragraph(text=text))
            body += row
        group += body
        return nodes.table("", group)


def _arguments(command: Any) -> list[str]:
    found = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = (parameter.metavar or parameter.name).upper().strip("[]") + ("..." if parameter.nargs == -1 else "")
            found.append(name if parameter.required else f"[{name}]")
    return found


def _rows(command: Any, context: Any, *, without: Container[str] = ()) -> list[tuple[str, str]]:
    """What the command itself says of its arguments and options on a terminal."""
    records = (p.get_help_record(context) for p in command.params if p.name not in without)
    return [(head.replace("[NEXT]", "next"), text.replace("  [", " [")) for head, text in filter(None, records)]
