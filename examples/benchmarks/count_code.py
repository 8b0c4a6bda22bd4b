"""Count files and lines of code per package and room: no blank lines, comments or docstrings.

One command: python examples/benchmarks/count_code.py [COMMIT]
With a commit, as 24f60ff, it counts that state beside the present one.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("redundancy", "estimators", "extraction", "proofs_check")
OTHERS = ("tests", "examples")
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}


def code_lines(text: str) -> int:
    """Lines that hold a token of code, docstrings left out."""
    documented = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                documented |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE and token.type != tokenize.ENDMARKER:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - documented)


def room_of(path: str) -> str:
    """Package and room of a file; files at the top of a package are its own room."""
    parts = path.split("/")
    if parts[0] in OTHERS:
        return parts[0]
    return f"{parts[0]}/{parts[1]}" if len(parts) > 2 else f"{parts[0]}/*.py"


def counted(files: dict[str, str]) -> dict[str, tuple[int, int]]:
    """Files and lines by room."""
    found: dict[str, list[int]] = defaultdict(list)
    for path, text in files.items():
        found[room_of(path)].append(code_lines(text))
    return {room: (len(lines), sum(lines)) for room, lines in found.items()}


def present() -> dict[str, str]:
    """The working tree."""
    paths = [path for top in (*PACKAGES, *OTHERS) for path in sorted((ROOT / top).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def at(commit: str) -> dict[str, str]:
    """The files of a commit."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    paths = git("ls-tree", "-r", "--name-only", commit, *PACKAGES, *OTHERS).splitlines()
    return {path: git("show", f"{commit}:{path}") for path in paths if path.endswith(".py")}


def main() -> None:
    """Print a table in Markdown."""
    states = [counted(at(commit)) for commit in sys.argv[1:2]] + [counted(present())]
    names = [*sys.argv[1:2], "now"]
    print("| room | " + " | ".join(f"files, {name} | lines, {name}" for name in names) + " |")
    print("|---|" + "---:|---:|" * len(names))
    rooms = sorted({room for state in states for room in state})
    tops = [f"{package}/" for package in PACKAGES]
    for top in [*tops, *OTHERS]:
        own = [room for room in rooms if room.startswith(top)]
        for room in own if top in tops else ():
            cells = [state.get(room, (0, 0)) for state in states]
            print(f"| {room} | " + " | ".join(f"{files} | {lines}" for files, lines in cells) + " |")
        sums = [[sum(state.get(room, (0, 0))[k] for room in own) for k in (0, 1)] for state in states]
        print(f"| **{top}** | " + " | ".join(f"**{files}** | **{lines}**" for files, lines in sums) + " |")
    inside = [[sum(v[k] for r, v in s.items() if r.split("/")[0] in PACKAGES) for k in (0, 1)] for s in states]
    print("| **the four packages** | " + " | ".join(f"**{files}** | **{lines}**" for files, lines in inside) + " |")


if __name__ == "__main__":
    main()
