"""Formulas as MathML, written into the page: no script, no font, no network is needed to read them."""

from __future__ import annotations

import html
import re
from typing import Any

import latex2mathml.converter
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.writers.html5 import HTML5Translator

# Bars and slashes stand close, as in TeX; MathML's own table spaces them like relations.
_TIGHT = re.compile(r"<mo ?([^>]*>(?:&#x0007C;|&#x0002F;)</mo>)")
# log x, not logx. Only where the name stands in a row: elsewhere a further child would change the meaning.
_FUNCTION = re.compile(
    r"((?:<mrow>|</mrow>|</mi>|</mo>|</mn>|</msub>|</msup>|</msubsup>|</mfrac>|</msqrt>)<mi>(?:log|ln|exp)</mi>)(?=<m[inrsf])"
)
_TAG = re.compile(r"\\tag\{[^}]*\}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Take the place of MathJax as the renderer of HTML builds."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def to_mathml(latex: str, *, display: str = "inline") -> str:
    """A ``math`` element, with the LaTeX source kept for copying and for readers without MathML."""
    try:
        element = latex2mathml.converter.convert(_TAG.sub("", latex).strip(), display=display)
    except Exception as error:
        raise SphinxError(f"need a formula that can be written as MathML, got {latex!r}: {error!r}") from error
    element = _FUNCTION.sub(r"\1<mspace width='0.17em'></mspace>", element)
    element = _TIGHT.sub(r'<mo lspace="0.08em" rspace="0.08em" \1', element)
    return element.replace("<math ", f'<math alttext="{html.escape(latex.strip(), quote=True)}" ', 1)


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(to_mathml(node.astext()))
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.math_block) -> None:
    latex = node.astext()
    if "\\\\" in latex and "\\begin" not in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    self.body.append(self.starttag(node, "div", CLASS="math-block"))
    self.body.append(to_mathml(latex, display="block"))
    self.body.append("</div>\n")
    raise nodes.SkipNode
