"""Another forward for a module, for as long as a context lasts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

__all__ = ["replace_forward"]


def replace_forward(module: Any, forward: Callable[..., Any], undo: ExitStack) -> None:
    """Shadow `module.forward`; on undo, put back what the instance had (accelerate shadows it too)."""
    before = vars(module).get("forward")
    module.forward = forward

    def restore() -> None:
        if before is None:
            del module.forward
        else:
            module.forward = before

    undo.callback(restore)
