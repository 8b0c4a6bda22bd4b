"""The table of assumptions names all that the code can print, and nothing else."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def printed():
    """Names of assumptions in the code; of an f-string the part before what is filled in."""
    names = set()
    for package in ("redundancy", "estimators"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Assumption" and node.args:
                    first = node.args[0]
                    if isinstance(first, ast.JoinedStr):
                        first = first.values[0]
                    if isinstance(first, ast.Constant):
                        names.add(first.value)
    return names


def test_the_table_names_every_assumption():
    page = (ROOT / "docs/reading_certificates.md").read_text(encoding="utf-8")
    section = page.split("## Every assumption, and what checks it")[1].split("\n## ")[0]
    firsts = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    tabled = [name for cell in firsts for name in re.findall(r"`(\w+)`", cell)]
    assert len(tabled) == len(set(tabled))
    assert set(tabled) == printed()
    assert len(tabled) > 25


def test_the_quoted_sentences_are_those_of_the_code():
    page = (ROOT / "docs/reading_certificates.md").read_text(encoding="utf-8")
    section = page.split("Beside assumptions a sentence may say:")[1].split("\n## ")[0]
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "redundancy").rglob("*.py"))
    quoted = re.findall(r'^\| "([^"]+)" \|', section, flags=re.MULTILINE)
    assert len(quoted) == 5
    assert [text for text in quoted[1:] if text not in code] == []
    assert " i.i.d. images" in code
