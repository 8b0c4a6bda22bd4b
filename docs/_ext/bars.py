"""Bars in docstrings: ``|x|`` is an absolute value, never one of reStructuredText's substitutions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_LITERAL = re.compile(r"(``.*?``|:\w+:`[^`]*`|`[^`]*`_*)")


def escape_bars(lines: Iterable[str]) -> Iterator[str]:
    """Lines with a backslash before each bar of running text; code, examples and formulas stay as they are."""
    example, block = False, None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indent <= block:
            block = None
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        formula = re.match(r"\s*\.\. math::", line)
        if block is None and not example and not formula:
            parts = _LITERAL.split(line)
            yield "".join(part if i % 2 else part.replace("|", r"\|") for i, part in enumerate(parts))
        else:
            yield line
        if formula or (block is None and line.rstrip().endswith("::")):
            block = indent
