"""The words of docs/figures.md."""

HEAD = """# Figures

`redundancy.figures` holds one function per figure: of the paper (Figures 3 to 12) and of what this project adds. Each
takes a result and `ax=None`, draws, and returns the Axes; the functions at the end of the page draw whole grids and
return the Figure.

```python
from redundancy import figures
from redundancy.statistics.harvest_statistics import HarvestStatistics

statistics = HarvestStatistics.load("report/statistics.safetensors")
ax = figures.distance_per_layer(statistics)
figures.save_figure(ax, "distance")  # distance.pdf, distance.svg and distance.png, 3.3 inches wide

wide = figures.attention_per_layer(statistics, ax=figures.axes("page"))
figures.save_figure(wide, "attention.pdf")  # one format, 6.9 inches
```

Every result also draws itself: `result.plot(ax=None)` calls the function that fits it, and where none is made for it,
`figures.intervals(result)`: its intervals one above the other, blue where they are certified and orange where they are
estimated or assumed.

**What they take.** Wherever a profile is drawn: a `HarvestStatistics`, a report (`redundancy.report.load_report`), or
rows with `layer` and `group`. Wherever plans are drawn: a report, or the rows of the `validation.json` that
`skip-it validate` writes. Profile, attention and accuracy figures also take several results by name,
`{"GQA": a, "VQA": b}`, and then draw a line for each.

**How they look.** Okabe-Ito colours, and a marker or hatch of its own for every series, so that nothing rests on colour
alone. Widths are exactly 3.3 (a column) or 6.9 inches (a page). No LaTeX is needed, fonts are embedded in PDF, text
stays text in SVG, the same data gives the same bytes, and matplotlib's global settings are not touched. A dollar sign
in a name is a dollar sign.

All pictures below are of the model that comes with Skip-It, {n} held-out questions; `examples/figures/make_pages.py`
draws them.
"""

TEXTS = {
    "distance": """\
Mean cosine distance of input and output of each layer. Bars, with a band up to them, are certified bounds.""",
    "proximity": "Share of tokens that a layer moves by less than 0.05; bars are certified lower bounds.",
    "attention": """\
VAR per layer: of the answer token, and of all text queries (mean and maximum), as a mean over heads.""",
    "extremes": "One token can carry a layer: the 99 % quantile (filled) and the maximum (hollow).",
    "centred_distance": """\
Distances after the mean vector of each depth is taken off: what one shared vector hides.""",
    "norm": "Long vectors turn little for the same change.",
    "depth": "Late entry at l swaps depth l for depth 0: read the first row, not the diagonal's neighbours.",
    "certificates": """\
Upper end of what is certified (filled) or holds under assumptions that no data can verify (hollow), from a
`ProfileCertificate`; `quantity="functional_gap"` and others are drawn alike. Vacuous statements are not drawn. A low
bar does not make a layer safe to skip.""",
    "accuracy": """\
Accuracy when vision tokens really enter late or leave early, with exact intervals; lines for what is reached blind.""",
    "speedup": "Measured on the clock (filled) and predicted from operation counts (hollow), on a doubling scale.",
    "speed_accuracy": """\
Every plan that was run. Filled: certified by risk control; the line joins certified plans that no other one beats.""",
    "risk": """\
Share of questions a plan loses. Filled plans are certified jointly at the tolerated risk; a bar is the exact bound of
one plan taken alone, and not a guarantee for a plan picked by looking.""",
    "tightness": """\
Records with `truth` and `bound`: on the diagonal a bound is attained, in the shade it would be wrong.""",
    "coverage": """\
Share of repeats in which an interval held the truth, for the worst law at each sample size, with the nominal level;
from the JSON of `examples/simulations/coverage.py`.""",
    "pid": """\
Unique, redundant and synergistic information, with certified intervals (narrower than the line here).""",
    "paper_redundancy": """\
Distance above proximity, a column per model, a line per data set; here three question families.""",
    "paper_attention": "VAR of the answer token, a panel per model, a line per data set.",
    "paper_accuracy": "Accuracy of late entry, a panel per model, a line per data set.",
}
