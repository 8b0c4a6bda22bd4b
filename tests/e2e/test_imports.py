"""What an import and a help page load, seen from fresh interpreters."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "sklearn", "matplotlib", "jinja2", "sympy", "hypothesis"}


def loaded_after(code):
    """Top-level modules that a fresh interpreter holds after running `code`."""
    probe = f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "module",
    [
        "redundancy",
        "redundancy.bounds",
        "redundancy.notions",
        "redundancy.concentration.betting",
        "redundancy.certificates.profile",
        "redundancy.statistics.harvest_statistics",
        "redundancy.pid",
        "redundancy.report",
        "redundancy.commands.cli",
    ],
)
def test_redundancy_loads_numpy_and_scipy_only(module):
    assert not loaded_after(f"import {module}") & HEAVY


def test_the_library_itself_does_without_the_command_line_library():
    code = "import sys; sys.modules['typer'] = None; sys.modules['rich'] = None; import redundancy.certificates.profile"
    assert not loaded_after(code) & HEAVY


@pytest.mark.parametrize("package", ["estimators", "extraction", "proofs_check"])
def test_packages_are_cheap_to_import(package):
    assert not loaded_after(f"import {package}") & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["merge", "--help"]], ids=" ".join)
def test_help_loads_no_torch_and_no_numpy(arguments):
    """Every command is loaded for it, and none may bring more than the command line library."""
    code = (
        f"import sys; sys.argv = ['skip-it', *{arguments}]\n"
        "from redundancy.commands.cli import main\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code"
    )
    assert not loaded_after(code) & (HEAVY | {"numpy", "scipy"})
