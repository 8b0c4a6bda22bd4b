"""What may be chosen of a harvest: one record for `harvest`, for harvests in folders, by workers, and for commands."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack

from redundancy.errors import InvalidInputError

# Commands read the defaults for their help pages, which need not wait for torch and numpy.
if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from extraction.models.adapters import Adapter
    from redundancy.statistics.harvest_statistics import StatisticsSpec

__all__ = ["DEFAULTS", "HarvestChanges", "HarvestOptions", "Shift", "model_name"]

Shift: TypeAlias = "npt.NDArray[np.float32]"


class HarvestChanges(TypedDict, total=False):
    """Fields of `HarvestOptions` as keyword arguments."""

    batch_size: int
    prompt: str | None
    name: str | None
    revision: str
    thresholds: tuple[float, ...]
    pairing: str
    answer: str
    matrix: bool
    attention: bool
    shift: str | Shift | None
    special_ids: tuple[int, ...] | None
    layers_path: str | None
    vision_ids: tuple[int, ...] | None
    self_check: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestOptions:
    """Options of a harvest.

    Parameters
    ----------
    batch_size : int, default=8
        Samples per batch; batches that come ready keep their size.
    prompt : str, optional
        Prompt template for samples, as in `extraction.data.render_prompt`.
    name, revision : str, optional
        Recorded in the statistics; the model's own path by default.
    thresholds : tuple of float, default=(0.05,)
        Values t of the per-sample tails P(rho > t); each becomes a histogram edge.
    pairing : {"io", "hf"}
        "io": a layer's own input and output. "hf": adjacent ``hidden_states`` of transformers, the last after the
        final norm.
    answer : {"last_prompt", "generated"}
        The query of the answer's attention mass: the last prompt position, or the token that the model answers
        with (one more forward pass; the token itself is in no group). "answer_positions" of a batch go before.
    matrix, attention : bool, default=True
        Whether to harvest the depth matrix (keeps the states of the batch at hand) and the attention masses.
    shift : "pilot", array of shape (groups, L+1, d), or None
        Means for the centred distance: of the first batch, or given as ``statistics.shift`` of an earlier
        harvest (statistics merge only if their shifts are equal), or no centred distance.
    special_ids : tuple of int, optional
        Ids of special tokens; those of the tokenizer or configuration by default.
    layers_path : str, optional
        Path of the layers below the model, where the recipe misses them.
    vision_ids : tuple of int, optional
        Placeholder ids of vision tokens, likewise.
    self_check : bool, default=True
        Compare what is seen in the first batch with the model's own ``output_hidden_states``.

    Raises
    ------
    InvalidInputError
        For a value out of range.

    Examples
    --------
    >>> options = HarvestOptions(thresholds=(0.01, 0.05))
    >>> options.change(matrix=False).thresholds
    (0.01, 0.05)
    """

    batch_size: int = 8
    prompt: str | None = None
    name: str | None = None
    revision: str = ""
    thresholds: tuple[float, ...] = (0.05,)
    pairing: str = "io"
    answer: str = "last_prompt"
    matrix: bool = True
    attention: bool = True
    shift: str | Shift | None = field(default="pilot", compare=False)
    special_ids: tuple[int, ...] | None = None
    layers_path: str | None = None
    vision_ids: tuple[int, ...] | None = None
    self_check: bool = True

    def __post_init__(self) -> None:
        from redundancy.checks import check_count

        check_count(self.batch_size, "batch_size", lower=1)
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        for name, known, value in (
            ("a pairing", ("io", "hf"), self.pairing),
            ("an answer position", ("last_prompt", "generated"), self.answer),
        ):
            if value not in known:
                raise InvalidInputError(f"need {name} out of {known}, got {value!r}")
        if isinstance(self.shift, str) and self.shift != "pilot":
            raise InvalidInputError(f'need shift as "pilot", an array of means or None, got {self.shift!r}')

    @property
    def given_shift(self) -> Shift | None:
        """Means that were given, if any."""
        return None if isinstance(self.shift, str) else self.shift

    def change(self, **changes: Unpack[HarvestChanges]) -> HarvestOptions:
        """These options with some changed."""
        return replace(self, **changes) if changes else self

    def spec(self, model: nn.Module, adapter: Adapter, *, answer_position: str | None = None) -> StatisticsSpec:
        """Declaration of a harvest of `model` with these options; `answer` says the answer position by default."""
        from extraction.models.device import dtype_name
        from redundancy.statistics.harvest_statistics import StatisticsSpec, default_edges

        return StatisticsSpec(
            model=self.name or model_name(model),
            model_type=adapter.model_type,
            n_layers=adapter.n_layers,
            n_heads=adapter.n_heads,
            edges=default_edges(self.thresholds),
            thresholds=self.thresholds,
            pairing=self.pairing,
            answer_position=answer_position or self.answer,
            dtype=dtype_name(model),
            revision=self.revision,
            has_matrix=self.matrix,
            has_attention=self.attention,
        )


DEFAULTS: dict[str, Any] = {one.name: one.default for one in fields(HarvestOptions)}


def model_name(model: Any) -> str:
    """What statistics call a model that was given no name: its path, else its class."""
    return str(getattr(model.config, "name_or_path", "") or type(model).__name__)
