"""Sphinx: the documentation site. `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent

# Examples run while the site is built; they are small, and threads that wait for each other only cost time.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.update(
    TQDM_DISABLE="1", MPLBACKEND="agg", HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TERM="dumb", COLUMNS="100"
)

sys.path[:0] = [str(DOCS / "_ext"), str(ROOT)]

import redundancy  # noqa: E402

project = "Skip-It"
author = "The Skip-It developers"
copyright = "2026, the Skip-It developers, Apache-2.0"
version = release = redundancy.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_copybutton",
    "pages",  # from here on our own, in _ext
    "api_pages",
    "command_line",
    "mathml",
]

exclude_patterns = ["_build", "_ext", "Thumbs.db", ".DS_Store", "gallery/**/*.ipynb", "gallery/**/*.py"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
nitpicky = False

# -- Markdown ---------------------------------------------------------------
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
# $5 is five dollars; $x$ is a formula even before a digit, as in "$n$-th".
myst_dmath_allow_digits = True

# -- Python -----------------------------------------------------------------
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"npt.ArrayLike": "ArrayLike", "ArrayLike": "ArrayLike"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
add_module_names = False

# -- Gallery: every script in examples/gallery is run -------------------------
GALLERY = ROOT / "examples" / "gallery"
if any(GALLERY.glob("plot_*.py")):
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": [str(GALLERY)],
        "gallery_dirs": ["gallery"],
        "filename_pattern": r"[\\/]plot_",
        "ignore_pattern": r"[\\/](?!plot_)[^\\/]*\.py$",
        "abort_on_example_error": False,  # with -W a failure fails the build, after every script had its turn
        "only_warn_on_example_error": False,
        "download_all_examples": False,
        "show_signature": False,
        "show_memory": False,
        "write_computation_times": False,
        "remove_config_comments": True,
        "capture_repr": ("_repr_html_", "__repr__"),
        "min_reported_time": 1,
        "nested_sections": False,
        "within_subsection_order": "FileNameSortKey",
        "reference_url": {"redundancy": None},
    }

# -- HTML -------------------------------------------------------------------
html_theme = "furo"
html_title = f"Skip-It {release}"
html_static_path = ["_static"]
html_css_files = ["skip-it.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#00609c", "color-brand-content": "#00609c"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#56b4e9"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
