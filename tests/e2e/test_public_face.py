"""The public names: a type checker knows each of them, stubs say what is there, and `dir` shows nothing else."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ROOT, run_python

PACKAGES = ("redundancy", "estimators", "extraction", "proofs_check")
STUBS = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("__init__.pyi"))


def module_of(path: Path) -> str:
    """The dotted name of a source file or stub."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def listed(path: Path) -> list[str]:
    """Names of a file's `__all__`, if it is written out there."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]:
            names: list[str] = ast.literal_eval(node.value)
            return names
    return []


def public() -> Iterator[tuple[str, str]]:
    """Module and name of everything that any `__all__` lists."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py*")):
            if path.suffix in {".py", ".pyi"}:
                for name in listed(path):
                    yield module_of(path), name


def test_a_type_checker_knows_every_public_name_and_no_other(tmp_path: Path) -> None:
    """A user's script under mypy: no name is Any, and one that does not exist is an error."""
    names = sorted(set(public()))
    assert len(names) > 1000
    lines = []
    for k, (module, name) in enumerate(names):
        lines += [f"from {module} import {name} as n{k}", f"reveal_type(n{k})"]
    absent = [f"from {package} import no_such_name" for package in PACKAGES]
    script = tmp_path / "user.py"
    script.write_text("\n".join([*lines, *absent]), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--hide-error-context", "--no-pretty", "--no-error-summary", str(script)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    said: dict[str, dict[int, str]] = {"note": {}, "error": {}}
    for line in run.stdout.splitlines():
        where, kind, text = line.partition(f"{script.name}:")[2].split(":", 2)
        said[kind.strip()][int(where)] = text.strip()
    revealed = {names[k // 2 - 1]: text.partition("Revealed type is ")[2] for k, text in said["note"].items()}
    unknown = [name for name, text in revealed.items() if text.strip("\"'") in {"Any", "Unknown"}]
    assert not unknown
    assert sorted(revealed) == names
    assert len(said["error"]) == len(absent), said["error"]
    assert all('has no attribute "no_such_name"' in text for text in said["error"].values())


@pytest.mark.parametrize("stub", STUBS, ids=module_of)
def test_stubs_say_what_is_there(stub: Path) -> None:
    """Every name that a stub lists is imported by it and there at run time; the package shows no other."""
    module = importlib.import_module(module_of(stub))
    imported = {
        alias.asname or alias.name
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(listed(stub)) == sorted(imported) == sorted(module.__all__) == dir(module)
    for name in module.__all__:
        thing = getattr(module, name)
        assert getattr(thing, "__name__", name).rpartition(".")[2] == name


def test_a_package_that_re_exports_has_a_stub() -> None:
    """Hand-made lazy loading is `Any` to a type checker, and imports in `__init__` cost those who need none."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.py"):
            text = path.read_text(encoding="utf-8")
            made_by_hand = "def __getattr__" in text or "def __dir__" in text
            assert not made_by_hand, path
            assert not (listed(path) and not any(s in text for s in ("def ", "class ", "STATEMENTS"))), path


def test_a_function_and_its_module_of_the_same_name_do_not_hide_each_other() -> None:
    """`redundancy.info.entropy` is the function, whichever of the two was asked for first."""
    both = "import redundancy.info.entropy as module\nfrom redundancy.info import entropy\nprint(callable(entropy))"
    assert run_python(both) == "True\n"
    code = "import redundancy.info.entropy\nprint(redundancy.entropy is redundancy.info.entropy)"
    assert run_python(code) == "True\n"


def free_options(path: Path) -> list[str]:
    """Public functions of a module whose `**options` are Any; one that also takes `*args` stands for another's call."""
    classes: list[ast.AST] = [
        node for node in ast.parse(path.read_text("utf-8")).body if not getattr(node, "name", "_").startswith("_")
    ]
    public_nodes = [*classes, *(n for c in classes if isinstance(c, ast.ClassDef) for n in c.body)]
    found = []
    for node in public_nodes:
        if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
            rest = node.args.kwarg
            if rest is not None and node.args.vararg is None and ast.unparse(rest.annotation or rest) == "Any":
                found.append(f"{path.relative_to(ROOT)}: {node.name}(**{rest.arg})")
    return found


def test_public_functions_name_their_options() -> None:
    """No `**options: Any`: what a caller may pass is in the signature."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert [line for path in files for line in free_options(path)] == []


def test_an_option_that_is_not_named_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(
        "class A:\n    @classmethod\n    def of(cls, **more: Any): ...\n    def _f(self, **more: Any): ...\n"
    )
    assert free_options(path) == ["module.py: of(**more)"]
