"""Sizes within which the packages stay readable: parameters of a function, lines of a file, files at the top."""

import ast
import tomllib

import pytest

from support import ROOT

PACKAGES = ("redundancy", "estimators", "extraction", "proofs_check")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MOST_PARAMETERS, MOST_LINES, MOST_FILES = 8, 400, 12


def commands():
    """File and function of every command, whose parameters are its flags."""
    if not (ROOT / "pyproject.toml").is_file():
        return set()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    places = (place.split(":") for place in project["entry-points"]["skip_it.commands"].values())
    return {(ROOT / f"{module.replace('.', '/')}.py", function) for module, function in places}


def unexplained_functions(tree):
    """Functions of more than eight parameters whose docstring, or that of their class, does not say why."""
    owners = {id(part): node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for part in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            rest = node.args
            names = [a.arg for a in (*rest.posonlyargs, *rest.args, *rest.kwonlyargs) if a.arg not in ("self", "cls")]
            said = ast.get_docstring(owners[id(node)] if node.name == "__init__" else node) or ""
            if len(names) > MOST_PARAMETERS and "more than eight parameters" not in " ".join(said.lower().split()):
                yield node.name


def explains_its_length(text):
    """Whether the first comment of a file says why it is long."""
    comments = [line for line in text.splitlines() if line.startswith("#")]
    return bool(comments) and comments[0].startswith(f"# Over {MOST_LINES} lines: ")


def test_functions_of_many_parameters_say_why():
    flags = commands()
    assert len(flags) > 10
    found = {(path, name) for path in FILES for name in unexplained_functions(ast.parse(path.read_text("utf-8")))}
    assert found - flags == set()


def test_long_files_say_why():
    texts = {path: path.read_text("utf-8") for path in FILES}
    long = [path for path, text in texts.items() if len(text.splitlines()) > MOST_LINES]
    assert [path for path in long if not explains_its_length(texts[path])] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_top_of_a_package_can_be_seen_at_once(package):
    assert len(list((ROOT / package).glob("*.py"))) <= MOST_FILES


def test_what_is_too_large_is_found():
    many = ", ".join("abcdefghi")
    assert list(unexplained_functions(ast.parse(f"def f({many}): ..."))) == ["f"]
    assert list(unexplained_functions(ast.parse(f"class C:\n    def m(self, {many[3:]}): ..."))) == []
    assert list(unexplained_functions(ast.parse(f"class C:\n    def __init__(self, {many}): ..."))) == ["__init__"]
    why = '"""More than\n    eight parameters, as many."""'
    assert list(unexplained_functions(ast.parse(f"def f({many}):\n    {why}"))) == []
    assert not explains_its_length("# A comment.\n# Over 400 lines: late.")
