"""Row kernels of the harvest: distances and norms of paired states, their sums and histograms.

Three implementations of one pair of functions, `row_values` and `reduce_rows`, see `kernels_for`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Protocol, cast

import torch

from extraction.harvesting.kernels.layout import Layout, Means, RowSums
from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = ["IMPLEMENTATIONS", "Kernels", "kernels_for"]

IMPLEMENTATIONS = {
    "plain": "extraction.harvesting.kernels.plain",
    "compile": "extraction.harvesting.kernels.compiled",
    "triton": "extraction.harvesting.kernels.triton_rows",
}
_VARIABLE = "SKIP_IT_KERNEL"


class Kernels(Protocol):
    """What every implementation has; see `extraction.harvesting.kernels.plain`."""

    def row_values(
        self, x: torch.Tensor, y: torch.Tensor, groups: torch.Tensor | None = None, means: Means | None = None
    ) -> torch.Tensor:
        """Scaled gap and norms of paired rows."""

    def reduce_rows(self, values: torch.Tensor, layout: Layout) -> RowSums:
        """Sums of `row_values` over the tokens of a batch."""


def kernels_for(device: torch.device, name: str | None = None) -> Kernels:
    """The implementation for a device.

    Parameters
    ----------
    device : torch.device
        Where the states are.
    name : {"auto", "plain", "compile", "triton"}, optional
        "auto": Triton on a CUDA device if it is installed, else plain torch. By default the environment
        variable ``SKIP_IT_KERNEL``, else "auto".

    Raises
    ------
    InvalidInputError
        For another name, also in the environment variable.
    MissingExtraError
        For "triton" where it is not installed.

    Examples
    --------
    >>> kernels_for(torch.device("cpu"), "auto").__name__
    'extraction.harvesting.kernels.plain'
    """
    name = name or os.environ.get(_VARIABLE) or "auto"
    if name == "auto":
        name = "triton" if device.type == "cuda" and importlib.util.find_spec("triton") else "plain"
    if name not in IMPLEMENTATIONS:
        raise InvalidInputError(
            f"need a kernel out of {('auto', *IMPLEMENTATIONS)}, got {name!r}; change or unset {_VARIABLE}"
        )
    try:
        module = importlib.import_module(IMPLEMENTATIONS[name])
    except ImportError as error:
        raise MissingExtraError(f"the triton kernel needs triton: pip install triton ({error})") from None
    return cast(Kernels, module)
