"""Write docs/figures.md and a picture for every function of `redundancy.figures`, all from real results.

One command, about three minutes: OMP_NUM_THREADS=1 python examples/figures/make_pages.py
A study that is already there saves two of them: --study report, where report was made by skip-it demo.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import figure_data as data
from figure_text import HEAD, TEXTS

from redundancy import figures
from redundancy.certificates.profile import ProfileCertificate
from redundancy.statistics.harvest_statistics import HarvestStatistics

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = "figures.md"
PICTURES = Path("images") / "figures"


@dataclass(frozen=True)
class Entry:
    """One picture: its file, the call that a reader copies, and how it is drawn here."""

    name: str
    title: str
    call: str
    draw: Callable[[], Any]
    width: str = "column"


def entries(study: dict[str, Any], folder: Path, families: dict[str, HarvestStatistics]) -> list[Entry]:
    """Every figure, in the order of the page."""
    statistics = HarvestStatistics.load(folder / "statistics.safetensors")
    certificate = ProfileCertificate.from_json((folder / "certificates.json").read_text(encoding="utf-8"))
    coverage = json.loads((DOCS / "coverage.json").read_text(encoding="utf-8"))
    usual = [row for row in coverage["rows"] if row["quantity"] == "mean rho" or row["quantity"] == "P(rho > 0.05)"]
    kinds = ("betting", "Hoeffding", "Maurer-Pontil", "t over images (not offered)")
    usual = [row for row in usual if row["bound"] in kinds]
    by_family = accuracy_by_family(study)
    model = "embedded model"
    return [
        Entry(
            "distance",
            "Distance per layer",
            "distance_per_layer(report)",
            lambda: figures.distance_per_layer(study),
        ),
        Entry(
            "proximity",
            "Proximity per layer",
            "proximity_per_layer(report)",
            lambda: figures.proximity_per_layer(study),
        ),
        Entry(
            "attention",
            "Attention on the image",
            "attention_per_layer(statistics)",
            lambda: figures.attention_per_layer(statistics),
        ),
        Entry(
            "extremes",
            "Extremes",
            "extremes_per_layer(statistics)",
            lambda: figures.extremes_per_layer(statistics),
        ),
        Entry(
            "centred_distance",
            "Distance without the common vector",
            "centred_distance_per_layer(statistics)",
            lambda: figures.centred_distance_per_layer(statistics),
        ),
        Entry("norm", "Norms", "norm_per_layer(statistics)", lambda: figures.norm_per_layer(statistics)),
        Entry(
            "depth",
            "Depth by depth",
            'depth_distances(statistics, group="vision")',
            lambda: figures.depth_distances(statistics, group="vision"),
        ),
        Entry(
            "certificates",
            "Certificates layer by layer",
            "certificate_intervals(certificate)",
            lambda: figures.certificate_intervals(certificate),
        ),
        Entry(
            "accuracy",
            "Accuracy of really skipping",
            "accuracy_per_layer(report)",
            lambda: figures.accuracy_per_layer(study),
        ),
        Entry("speedup", "Speed-up", "speedup_per_layer(report)", lambda: figures.speedup_per_layer(study)),
        Entry(
            "speed_accuracy",
            "Speed against accuracy",
            "speed_accuracy(report)",
            lambda: figures.speed_accuracy(study),
        ),
        Entry("risk", "Risk against speed", "risk_of_plans(report)", lambda: figures.risk_of_plans(study)),
        Entry(
            "tightness",
            "Bound against truth",
            'bound_tightness(records, unit="bits")',
            lambda: figures.bound_tightness(data.entropy_bounds(), unit="bits"),
        ),
        Entry(
            "coverage",
            "Coverage of intervals",
            "interval_coverage(coverage)",
            lambda: figures.interval_coverage(usual),
        ),
        Entry(
            "pid",
            "Partial information decomposition",
            'pid_bars({"two noisy copies": a, "noisy parity": b})',
            lambda: figures.pid_bars(data.decompositions()),
        ),
        Entry(
            "paper_redundancy",
            "The paper's Figures 4 to 9",
            'redundancy_panels({"my model": {"GQA": a, "VQA": b}})',
            lambda: figures.redundancy_panels({model: families}),
            "page",
        ),
        Entry(
            "paper_attention",
            "The paper's Figure 3",
            'attention_panels({"my model": {"GQA": a, "VQA": b}})',
            lambda: figures.attention_panels({model: families}),
            "page",
        ),
        Entry(
            "paper_accuracy",
            "The paper's Figures 10 to 12",
            'accuracy_panels({"my model": {"GQA": a, "VQA": b}})',
            lambda: figures.accuracy_panels({model: by_family}),
            "page",
        ),
    ]


def accuracy_by_family(study: dict[str, Any]) -> dict[str, Any]:
    """Accuracy of late entry per question family, as one run each."""
    return {
        family: {
            "model": study["model"],
            "late_entry": [
                {"layer": row["layer"], "accuracy": row["family_accuracy"][family]} for row in study["late_entry"]
            ],
        }
        for family in data.FAMILIES
    }


def page(all_entries: list[Entry], n_questions: int) -> str:
    """The page in Markdown."""
    parts = [HEAD.replace("{n}", str(n_questions))]
    for entry in all_entries:
        picture = (PICTURES / f"{entry.name}.svg").as_posix()
        parts.append(
            f"## {entry.title}\n\n`figures.{entry.call}`\n\n![{entry.title}]({picture})\n\n{TEXTS[entry.name]}\n"
        )
    return "\n".join(parts)


def main() -> None:
    """Draw everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, help="folder of a skip-it demo run; one is made without it")
    parser.add_argument("--questions", type=int, default=420, help="of the study that is made")
    parser.add_argument("--quick", action="store_true", help="84 questions instead of 420")
    parser.add_argument("--docs", type=Path, default=DOCS)
    parser.add_argument("--png", type=Path, help="also write PNGs at both widths into this folder, to look at")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        questions = 84 if arguments.quick else arguments.questions
        report, folder = data.study(arguments.study, Path(scratch), questions)
        drawn = entries(report, folder, data.by_family(12 if arguments.quick else 40))
        target = arguments.docs / PICTURES
        target.mkdir(parents=True, exist_ok=True)
        for entry in drawn:
            figures.save_figure(entry.draw(), target / f"{entry.name}.svg", width=entry.width)
            if arguments.png is not None:
                arguments.png.mkdir(parents=True, exist_ok=True)
                for width in ("column", "page"):
                    figures.save_figure(entry.draw(), arguments.png / f"{entry.name}-{width}.png", width=width)
        (arguments.docs / PAGE).write_text(page(drawn, report["n_samples"]), encoding="utf-8")


if __name__ == "__main__":
    main()
