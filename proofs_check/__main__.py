"""`python -m proofs_check` is `skip-it prove`."""

import sys

import typer

from proofs_check.commands.prove import prove
from redundancy.errors import SkipItError

try:
    typer.run(prove)
except SkipItError as error:
    print(f"proofs_check: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(2)
