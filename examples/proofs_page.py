"""Rewrite the tables and the figure of docs/proofs.md from a run of all proof checks.

One command: OMP_NUM_THREADS=1 python examples/proofs_page.py
"""

import argparse
import re
from pathlib import Path

from proofs_check.adversary import plot_tightness, tightness
from proofs_check.commands.show import markdown_table
from proofs_check.pool import random_laws
from proofs_check.statements import all_statements
from proofs_check.table import Settings, examine
from redundancy.bounds.ledger import theorems
from redundancy.figures import save_figure

PLACE = re.compile(r"(<!-- tables -->\n).*(<!-- end of tables -->)", re.DOTALL)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path(__file__).parent.parent / "docs")
    folder = parser.parse_args().docs
    page = folder / "proofs.md"
    tables = markdown_table(examine(theorems(), Settings()))
    text = PLACE.sub(lambda m: f"{m[1]}\n{tables}\n\n{m[2]}", page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")

    pool = random_laws(0, 150)
    # What redundancy computes for a known law is exact by design; its bars would say nothing.
    shown = [s for s in all_statements() if s.true and not s.theorem.startswith(("laws.", "implications."))]
    axes = plot_tightness([tightness(s, pool, evaluations=400, restarts=2) for s in shown])
    save_figure(axes, folder / "proofs_tightness.svg")


if __name__ == "__main__":
    main()
