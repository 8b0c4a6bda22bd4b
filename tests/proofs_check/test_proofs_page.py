"""The guided tour: its snippets run, its tables say what the checker says."""

import doctest
import re
from pathlib import Path

import pytest

from redundancy.bounds.ledger import theorems

PAGE = Path(__file__).parents[2] / "docs" / "proofs.md"


def cells():
    text = PAGE.read_text(encoding="utf-8").split("<!-- tables -->")[1]
    return [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in text.splitlines() if line.startswith("|")]


def test_snippets_run():
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted > 20
    assert result.failed == 0


def test_python_blocks_run():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        names = {}
        exec(block, names)
        for name, test in names.items():
            if name.startswith("test_"):
                test()


def test_every_strategy_is_documented():
    from proofs_check import strategies

    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in strategies.__all__ if f"`strategies.{name}`" not in text] == []


def test_the_table_knows_the_ledger():
    known = {r.id: r.status for r in theorems()}
    rows = [row for row in cells() if len(row) == 8 and row[0].startswith("`")]
    assert len(rows) > 80
    for row in rows:
        name = row[0].strip("`")
        assert name in known
        assert row[1] in ("proved", "tested", "refuted", "definition")
        assert (row[1] == "refuted") == (known[name] == "refuted")
        assert re.fullmatch(r"(\d+)/\1|-", row[7]), row


@pytest.mark.slow
def test_the_tables_are_those_of_a_fresh_run():
    from proofs_check.commands.show import markdown_table
    from proofs_check.table import Settings, examine

    fresh = markdown_table(examine(theorems(), Settings()))
    assert fresh in PAGE.read_text(encoding="utf-8")
