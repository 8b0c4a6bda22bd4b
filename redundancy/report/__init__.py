"""Reports: from the plain dict of report.json to tables, figures and one self-contained page.

No model and no torch: a report can be drawn anew years later from report.json alone. matplotlib and
jinja2 are imported when a figure or a page is asked for, not before.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
