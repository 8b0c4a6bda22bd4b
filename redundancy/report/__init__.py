"""Reports: from the plain dict of report.json to tables, figures and one self-contained page.

No model and no torch: a report can be drawn anew years later from report.json alone. matplotlib and
jinja2 are imported when a figure or a page is asked for, not before.
"""

from redundancy.report.figures import save_figures
from redundancy.report.findings import Findings, distance_findings
from redundancy.report.gather import gather_report
from redundancy.report.html import render_html
from redundancy.report.schema import SCHEMA, load_report, report_problems, validate_report
from redundancy.report.tables import late_entry_table, profile_table, validation_table, vision_exit_table

__all__ = [
    "SCHEMA",
    "Findings",
    "distance_findings",
    "gather_report",
    "late_entry_table",
    "load_report",
    "profile_table",
    "render_html",
    "report_problems",
    "save_figures",
    "validate_report",
    "validation_table",
    "vision_exit_table",
]
