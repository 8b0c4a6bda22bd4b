"""Do the tests see faults? Plant small ones at random places, one at a time, and run the tests that concern them.

One command, in the root of a clone: python tests/mutation/run_mutants.py --seed 1 --faults 30 --out mutants.json
The default test run does not collect this file. Each fault stands in a copy of the tree; the clone is not touched.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("redundancy", "estimators", "extraction", "proofs_check")
COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATIONS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div}
MOST_TEST_FILES = 4
TIMED_OUT = 124


def places(tree: ast.Module) -> list[ast.AST]:
    """Nodes in which a fault can be planted: in functions, outside annotations, defaults, errors and their tests."""
    found: list[ast.AST] = []

    def walk(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.Raise | ast.Assert | ast.AnnAssign | ast.JoinedStr):
            return
        if isinstance(node, ast.If) and any(isinstance(part, ast.Raise) for part in node.body):
            for part in (*node.body, *node.orelse):
                walk(part, inside)
            return
        if inside and fault_of(node) is not None:
            found.append(node)
        if isinstance(node, ast.FunctionDef):
            for part in node.body:
                walk(part, True)
            return
        for child in ast.iter_child_nodes(node):
            walk(child, inside)

    walk(tree, False)
    return found


def fault_of(node: ast.AST) -> str | None:
    """What is changed at a node, in words; None if nothing can be."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        return f"{type(node.ops[0]).__name__} -> {COMPARISONS[type(node.ops[0])].__name__}"
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS and not isinstance(node.left, ast.Constant):
        return f"{type(node.op).__name__} -> {OPERATIONS[type(node.op)].__name__}"
    if isinstance(node, ast.BoolOp):
        return f"{type(node.op).__name__} flipped"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return "not left out"
    if isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value == node.value:
        return f"{node.value} -> {changed(node.value)}"
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return f"{node.value} -> {not node.value}"
    return None


def changed(value: float) -> float:
    """Off by one, or by a fifth."""
    return value + 1 if isinstance(value, int) else (value * 1.2 if value else 0.5)


def plant(node: Any) -> None:
    """Change the node in place."""
    if isinstance(node, ast.Compare):
        node.ops[0] = COMPARISONS[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp):
        node.op = OPERATIONS[type(node.op)]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.UnaryOp):
        node.op, node.operand = ast.Not(), ast.UnaryOp(op=ast.Not(), operand=node.operand)
    else:
        node.value = (not node.value) if isinstance(node.value, bool) else changed(node.value)


def draw(rng: random.Random, n_faults: int) -> Iterator[tuple[Path, int]]:
    """File and number of the place, every place of the four packages equally likely."""
    sites = [
        (path, k)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "default_model" not in path.parts and path.name != "triton_rows.py"
        for k in range(len(places(ast.parse(path.read_text(encoding="utf-8")))))
    ]
    print(f"{len(sites)} places; {n_faults} are drawn", flush=True)
    yield from rng.sample(sites, n_faults)


def concerned(path: Path) -> list[str]:
    """Test files that name the module, its package or its functions most often."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) if node.name[0] != "_"}
    votes: Counter[str] = Counter()
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        if "docs" in test.parts or "bench" in test.parts:
            continue
        text = test.read_text(encoding="utf-8")
        votes[str(test.relative_to(ROOT))] = 10 * text.count(module) + sum(text.count(name) for name in names)
    best = [name for name, count in votes.most_common(MOST_TEST_FILES) if count]
    return best or [name for name in votes if Path(name).parent.name == path.relative_to(ROOT).parts[0]]


def outcome(path: Path, place: int, limit: float) -> dict[str, Any]:
    """Plant one fault in a copy and run the tests that concern it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    node: Any = places(tree)[place]
    fault, line, before = fault_of(node), node.lineno, ast.unparse(copy.deepcopy(node))
    plant(node)
    tests = concerned(path)
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder)
        for name in (*PACKAGES, "tests", "docs", "examples"):
            shutil.copytree(ROOT / name, copied / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
            shutil.copy(ROOT / name, copied / name)
        (copied / path.relative_to(ROOT)).write_text(ast.unparse(tree), encoding="utf-8")
        started = time.perf_counter()
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        try:
            code = subprocess.run(command, cwd=copied, capture_output=True, timeout=limit, check=False).returncode
        except subprocess.TimeoutExpired:
            code = TIMED_OUT
    return {
        "file": str(path.relative_to(ROOT)),
        "line": line,
        "fault": fault,
        "code": before[:100],
        "tests": tests,
        "outcome": {0: "survived", 1: "caught", 2: "caught", TIMED_OUT: "time limit"}.get(code, f"exit {code}"),
        "seconds": round(time.perf_counter() - started, 1),
    }


def main() -> None:
    """Draw, plant, run and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds per fault")
    parser.add_argument("--out", type=Path, default=Path("mutants.json"))
    options = parser.parse_args()
    found = []
    for path, place in draw(random.Random(options.seed), options.faults):
        found.append(outcome(path, place, options.limit))
        print(json.dumps(found[-1]), flush=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(dict(Counter(row["outcome"] for row in found)))


if __name__ == "__main__":
    main()
