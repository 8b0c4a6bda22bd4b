from .figures import save_figures
from .findings import Findings, distance_findings
from .gather import gather_report
from .html import render_html
from .schema import SCHEMA, load_report, report_problems, validate_report
from .tables import late_entry_table, profile_table, validation_table, vision_exit_table

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
