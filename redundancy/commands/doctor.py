"""`skip-it doctor`: what is installed, from where, what collides, and what is missing; loads no torch."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, entry_points, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from redundancy import __project__, __version__
from redundancy.commands.printing import echo
from redundancy.errors import MissingExtraError

__all__ = ["MODEL_PROBES", "PROBES", "doctor"]

MODEL_PROBES = "skip_it.doctor_of_models"  # entry points: functions of a model's name that return lines by title
PROBES = "skip_it.doctor"  # entry points: functions of no argument that return lines by title
PACKAGES = ("redundancy", "estimators", "extraction", "proofs_check")
_LIBRARIES = {  # import name: (distribution, extra that brings it)
    "numpy": ("numpy", None),
    "scipy": ("scipy", None),
    "typer": ("typer", None),
    "sklearn": ("scikit-learn", "estimators"),
    "tqdm": ("tqdm", "estimators"),
    "torch": ("torch", "extract"),
    "transformers": ("transformers", "extract"),
    "safetensors": ("safetensors", None),
    "PIL": ("pillow", "extract"),
    "torchvision": ("torchvision", "vision"),
    "peft": ("peft", "adapters"),
    "sympy": ("sympy", "proofs"),
    "mpmath": ("mpmath", "proofs"),
    "hypothesis": ("hypothesis", "proofs"),
    "matplotlib": ("matplotlib", "report"),
    "jinja2": ("jinja2", "report"),
    "pyarrow": ("pyarrow", "data"),
    "datasets": ("datasets", "data"),
    "lm_eval": ("lm_eval", "eval"),
    "accelerate": ("accelerate", "eval"),
    "openai": ("openai", "eval"),
}


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(help="Also load this model, run it once and once under a plan: a folder, or embedded."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is installed and what is missing; exit 1 if something is wrong, missing extras are not.

    Example: skip-it doctor ./llava-1.5-7b-hf
    """
    findings = examine()
    if model is not None:
        findings["more"].update(_ask_of_model(model))
    if as_json:
        echo(json.dumps(findings, indent=1))
    else:
        _show(findings)
    if findings["problems"]:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """Versions, homes of the four packages, missing extras, and problems in one sentence each."""
    from redundancy.commands.cli import broken_commands

    problems = [sentence for _, sentence in broken_commands()]
    claimed = packages_distributions()
    packages = {}
    for name in PACKAGES:
        packages[name] = home = _home(name)
        if home is None:
            problems.append(f"the package {name!r} of skip-it is not there: install skip-it again")
            continue
        if not _is_ours(Path(home)):
            problems.append(
                f"{home} is imported as {name!r} and is not part of skip-it: rename that file, or run from elsewhere"
            )
        others = sorted({d for d in claimed.get(name, []) if _plain(d) != __project__})
        if others:
            problems.append(
                f"{', '.join(others)} installs a package {name!r}, too; uninstall it, the last one installed wins"
            )
    libraries: dict[str, str | None] = {}
    missing: dict[str, list[str]] = {}
    for module, (distribution, extra) in _LIBRARIES.items():
        libraries[distribution] = _version(distribution) if find_spec(module) is not None else None
        if libraries[distribution] is None:
            missing.setdefault(extra or "", []).append(distribution)
    for needed in missing.pop("", []):
        problems.append(f"{needed} is needed and not there: pip install {needed}")
    return {
        "version": __version__,
        "installed_version": _version(__project__),
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "packages": packages,
        "libraries": libraries,
        "missing_extras": {
            extra: {"needs": names, "command": f'pip install "skip-it[{extra}]"'} for extra, names in missing.items()
        },
        "more": _ask_packages(problems),
        "problems": problems,
    }


def _ask_packages(problems: list[str]) -> dict[str, list[str]]:
    """What the packages above tell of themselves; one that cannot is a problem and stops no other."""
    more: dict[str, list[str]] = {}
    for point in sorted(entry_points(group=PROBES), key=lambda p: p.name):
        try:
            more.update(point.load()())
        except Exception as error:
            problems.append(
                f"{point.value} cannot tell of itself: {type(error).__name__}: {' '.join(str(error).split())}"
            )
    return more


def _ask_of_model(model: str) -> dict[str, list[str]]:
    """What the packages above find of a model; a fault of it is an error of theirs, in a sentence."""
    found: dict[str, list[str]] = {}
    for point in sorted(entry_points(group=MODEL_PROBES), key=lambda p: p.name):
        for needed in ("torch", "transformers"):
            if find_spec(needed) is None:
                raise MissingExtraError(f'examining a model needs {needed}: pip install "skip-it[extract]"')
        found.update(point.load()(model))
    return found


def _home(name: str) -> str | None:
    """The folder or file that `import name` would load; found without importing it."""
    spec = find_spec(name)
    if spec is None:
        return None
    if spec.origin is not None and spec.origin != "namespace":
        return str(Path(spec.origin).parent) if Path(spec.origin).name == "__init__.py" else spec.origin
    return next(iter(spec.submodule_search_locations or []), None)


def _is_ours(home: Path) -> bool:
    """Whether the package says that it belongs to this project, read without running it."""
    start = home / "__init__.py"
    return start.is_file() and f'__project__ = "{__project__}"' in start.read_text(encoding="utf-8")


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _show(findings: dict[str, Any]) -> None:
    echo(f"skip-it {findings['version']} on Python {findings['python']} ({findings['executable']})")
    echo(findings["platform"])
    echo("\nPackages")
    for name, home in findings["packages"].items():
        echo(f"  {name:<14} {home or 'not found'}")
    echo("\nLibraries")
    for name, number in findings["libraries"].items():
        echo(f"  {name:<14} {number or 'not installed'}")
    for title, lines in findings["more"].items():
        echo(f"\n{title}")
        for line in lines:
            echo(f"  {line}")
    if findings["missing_extras"]:
        echo("\nMissing extras (only needed for the commands that use them)")
        for extra, entry in findings["missing_extras"].items():
            echo(f"  {extra:<14} {', '.join(entry['needs'])}: {entry['command']}")
    echo("")
    for problem in findings["problems"]:
        echo(f"problem: {problem}")
    if not findings["problems"]:
        echo("No problems found.")
