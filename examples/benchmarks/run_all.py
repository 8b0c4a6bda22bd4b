"""All benchmarks on one machine, one after the other: writes docs/benchmarks/all.json and docs/benchmarks/all.md.

One command: python examples/benchmarks/run_all.py        (about half an hour on two idle cores; --quick: a few minutes)
The groups of `suite.py` run in processes of their own; `harvest.py`, `skipping.py`, `distributed.py` and `profiles.py`
write pages of their own and are run with --also-pages. `--only GROUP ...` measures some and keeps the other records.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PAGE = ROOT / "docs" / "benchmarks" / "all.md"
GROUPS = ("broja", "probes", "codebooks", "certificates", "startup")
PAGES = ("harvest.py", "skipping.py", "distributed.py", "profiles.py")
LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "transformers", "ecos", "clarabel", "scs", "dit", "faiss-cpu")


def machine() -> dict[str, Any]:
    """Where and when: what a reader needs to judge the seconds."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
        "versions": versions,
    }


def measure(group: str, quick: bool) -> dict[str, Any]:
    """Records of one group, from a process of its own, so that nothing it imports weighs on the next."""
    command = [sys.executable, str(HERE / "suite.py"), group, *(["--quick"] if quick else [])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    where = machine()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{group} failed:\n{done.stderr}")
    found = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RECORD ")]
    return {"machine": where, "quick": quick, "records": found}


def page(results: dict[str, Any]) -> str:
    """The tables, from the records alone."""
    lines = [
        "# Side by side with the alternatives",
        "",
        "Made by `python examples/benchmarks/run_all.py`. Each row is a race on one machine: the ways of doing a job "
        "take turns within a round, *ratio* is the median over the rounds of the peer's time over ours (above 1 we are "
        "faster), in brackets the smallest and the largest. One thread each. Read ratios, not seconds. The harvest, "
        "the skipping engine, the distributed run and the profiles have pages of their own beside this one.",
        "",
        "| job | size | ours | s | peer | s | ratio | asked |",
        "| --- | --- | --- | --: | --- | --: | --: | --: |",
    ]
    rest: list[str] = []
    for group in GROUPS:
        for r in results.get(group, {}).get("records", []):
            if "ratio" in r:
                asked = "" if r.get("goal") is None else f"{r['goal']:g}"
                lines.append(
                    f"| {r['job']} | {r['size']} | {r['ours']} | {r['seconds']:.3g} | {r['peer']} | "
                    f"{r['peer_seconds']:.3g} | {r['ratio']:.2f} "
                    f"[{r['ratio_low']:.2f}, {r['ratio_high']:.2f}] | {asked} |"
                )
                if r.get("note"):
                    rest.append(f"- {r['job']}, {r['ours']} and {r['peer']}: {r['note']}.")
            elif "exponent" in r:
                at = ", ".join(f"{n}: {s:.3g} s" for n, s in zip(r["sizes"], r["seconds_at"], strict=True))
                rest.append(f"- {r['job']} grows with {r['grows_with']} to the power {r['exponent']:.2f} ({at}).")
            elif "seconds_alone" in r:
                rest.append(f"- {r['job']}: {r['seconds_alone']:.1f} s.")
            else:
                rest.append(f"- {r['job']}: {r['left_out']}, so it was left out.")
    lines += ["", "## Growth, and jobs that have no peer", "", *rest, "", "## Missed goals", ""]
    missed = [
        f"- {r['job']} {r['size']} against {r['peer']}: {r['ratio']:.2f} where {r['goal']:g} was asked."
        for group in GROUPS
        for r in results.get(group, {}).get("records", [])
        if r.get("goal") is not None and r["ratio"] < r["goal"]
    ]
    lines += missed or ["None of the ratios that were goals of this table is missed."]
    lines += ["", "## Machine", ""]
    for group in GROUPS:
        if group in results:
            m = results[group]["machine"]
            versions = ", ".join(f"{name} {v}" for name, v in m["versions"].items() if v)
            size = "small sizes (--quick), " if results[group]["quick"] else ""
            lines.append(
                f"- {group}: {size}{m['date']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['architecture']}, load "
                f"{m['load']} at the start, Python {m['python']}, {versions}."
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what was asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, says little")
    parser.add_argument("--also-pages", action="store_true", help=f"run {', '.join(PAGES)}, too")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page; its numbers go beside it as .json")
    options = parser.parse_args()
    stored = options.out.with_suffix(".json")
    results = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
    for group in options.only:
        print(f"{group} ...", flush=True)
        results[group] = measure(group, options.quick)
        stored.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        options.out.write_text(page(results), encoding="utf-8")
    if options.also_pages:
        for script in PAGES:
            print(f"{script} ...", flush=True)
            subprocess.run([sys.executable, str(HERE / script)], check=True, cwd=ROOT)
    print(options.out)


if __name__ == "__main__":
    main()
