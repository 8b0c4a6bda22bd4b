"""Figures for papers: each function takes a result and `ax=None`, draws, and returns the Axes.

Colour-blind safe (Okabe-Ito, and a marker per series), 3.3 or 6.9 inches wide, no LaTeX, no `plt.show`, no change
of matplotlib's global settings. matplotlib is imported when a figure is drawn, not before.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
