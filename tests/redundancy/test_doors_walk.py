"""No code reads past its door: files, JSON and arrays of users come in where the doors are, and nowhere else."""

import ast
from pathlib import Path

import pytest

import redundancy

ROOT = Path(redundancy.__file__).parents[1]
PACKAGES = ("redundancy", "estimators", "extraction", "proofs_check")

# Calls that read something from outside, by the last names of the call.
READS_FILES = {
    "np.load",
    "np.fromfile",
    "np.memmap",
    "np.loadtxt",
    "np.genfromtxt",
    "json.load",
    "json.loads",
    "pickle.load",
    "pickle.loads",
    "torch.load",
    "csv.reader",
    "csv.DictReader",
    "tomllib.load",
    "tomllib.loads",
    "Image.open",
}
READS_PATHS = {"read_text", "read_bytes"}  # methods of a path
# Where these calls may stand, each with its reason.
DOORS = {
    "redundancy/files/arrays.py": "the door for files of arrays",
    "redundancy/files/reading.py": "the door for stored text and JSON",
    "redundancy/files/tensors.py": "the door for tensor files",
    "redundancy/statistics/schema.py": "text of a tensor file with a sound digest, errors caught",
    "redundancy/statistics/provenance.py": "text of a tensor file with a sound digest, errors caught",
    "redundancy/commands/options.py": "the door for settings in TOML",
    "redundancy/commands/doctor.py": "reads the packages' own source",
    "redundancy/files/stored.py": "text that a result has just written itself",
    "redundancy/sampling.py": "a quoted word of a sentence that its own pattern has matched",
    "redundancy/report/gather.py": "names of a run's model and data, never a claim; a torn file gives none",
    "redundancy/report/html.py": "reads templates of the package",
    "estimators/codes/codebook.py": "text inside a tensor file whose digest was checked",
}
# Rooms with doors of their own: samples, pictures, models, run folders, logs of harnesses.
ROOMS = (
    "extraction/data/",
    "extraction/models/",
    "extraction/run/",
    "extraction/store/",
    "extraction/study/",
    "extraction/harness/",
    "extraction/default_model/",
    "extraction/commands/",
    "extraction/serve/",
    "redundancy/comparison/logs",
    "estimators/store.py",
    "proofs_check/",
)


def dotted(node):
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([*([node.id] if isinstance(node, ast.Name) else []), *reversed(parts)])


def reads(source):
    """Calls in a source that read something from outside, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            is_open = name == "open" or (isinstance(node.func, ast.Attribute) and node.func.attr == "open")
            writes = is_open and any(
                isinstance(part, ast.Constant) and isinstance(part.value, str) and set(part.value) & set("wax")
                for part in [*node.args[name == "open" :], *(k.value for k in node.keywords)]
            )
            last = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if name in READS_FILES or last in READS_PATHS or (is_open and not writes and name != "os.open"):
                yield node.lineno, name or last


def files():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_no_code_reads_past_its_door():
    found = [
        f"{name}:{line} {call}"
        for name, source in files()
        if name not in DOORS and not name.startswith(ROOMS)
        for line, call in reads(source)
    ]
    assert not found, "read it through redundancy.files, or say why not:\n" + "\n".join(found)


def test_every_exception_is_still_needed():
    sources = dict(files())
    idle = [name for name in DOORS if name not in sources or not any(reads(sources[name]))]
    idle += [room for room in ROOMS if not any(any(reads(s)) for name, s in sources.items() if name.startswith(room))]
    assert not idle


def test_arrays_of_users_come_in_by_the_array_door():
    """Every parameter that is annotated as array_like is never handed to numpy's own converters as it is."""
    found = []
    for name, source in files():
        if name in ("redundancy/arrays.py", "redundancy/checks.py"):
            continue
        for function in ast.walk(ast.parse(source)):
            if not isinstance(function, ast.FunctionDef) or function.name.startswith("_"):
                continue
            given = {
                a.arg
                for a in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
                if a.annotation is not None and "ArrayLike" in ast.unparse(a.annotation)
            }
            cleaned = {
                target.id
                for node in ast.walk(function)
                if isinstance(node, ast.Assign)
                for part in node.targets
                for target in ast.walk(part)
                if isinstance(target, ast.Name)
            }
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and dotted(node.func) in ("np.asarray", "np.array", "np.unique", "float"):
                    direct = node.args and isinstance(node.args[0], ast.Name) and node.args[0].id in given - cleaned
                    if direct:
                        found.append(f"{name}:{node.lineno} {function.name}({node.args[0].id})")
    assert not found, "use redundancy.checks:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "n"),
    [
        ("import numpy as np\nnp.load('a')", 1),
        ("open('a')", 1),
        ("open('a', 'w')", 0),
        ("p.open('rb')", 1),
        ("p.open(mode='ab')", 0),
        ("p.read_text()", 1),
        ("json.loads(x)", 1),
        ("json.dumps(x)", 0),
    ],
)
def test_the_walk_sees_what_it_should(source, n):
    assert len(list(reads(source))) == n
