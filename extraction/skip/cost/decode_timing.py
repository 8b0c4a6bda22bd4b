"""How long a generated token takes under a plan, and how many bytes its cache holds: interleaved rounds, medians."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from tqdm.auto import tqdm

from extraction.skip.cost.memory import held_bytes
from extraction.skip.cost.timing import device_name, median_interval
from extraction.skip.engine.patch import apply
from extraction.skip.engine.support import cache_of
from extraction.skip.plan import Plan
from extraction.study.validate import Batch, model_inputs, own_inputs
from redundancy.checks import check_count
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular

__all__ = ["DecodeTiming", "measure_decode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeTiming(Tabular):
    """Milliseconds per generated token (all rows of the batch together), one entry per round, and the cache's size.

    Parameters
    ----------
    plan : Plan
        The plan that was timed.
    token_ms, plain_token_ms : tuple of float
        From one step's start to the next one's: decoder, head and choice of the token.
    cache_bytes, plain_cache_bytes : int
        Keys and values held after the last step.
    peak_bytes, plain_peak_bytes : int or None
        Peak of allocated device memory above what was allocated before, CUDA only.
    n_tokens : int
        Generated tokens per row and round.
    device : str
        Where it ran.
    """

    plan: Plan
    token_ms: tuple[float, ...]
    plain_token_ms: tuple[float, ...]
    cache_bytes: int
    plain_cache_bytes: int
    peak_bytes: int | None
    plain_peak_bytes: int | None
    n_tokens: int
    device: str

    @property
    def speedup(self) -> float:
        """Median over rounds of unmodified time over the plan's time."""
        return median(a / b for a, b in zip(self.plain_token_ms, self.token_ms, strict=True))

    def speedup_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Distribution-free interval of the median ratio."""
        return median_interval(
            [a / b for a, b in zip(self.plain_token_ms, self.token_ms, strict=True)], confidence_level
        )

    def to_record(self, confidence_level: float = 0.95) -> dict[str, Any]:
        """One flat row of medians, the speed-up with its interval, and the caches."""
        return {
            "plan": str(self.plan),
            "token_ms": median(self.token_ms),
            "plain_token_ms": median(self.plain_token_ms),
            "speedup": self.speedup,
            "speedup_interval": self.speedup_interval(confidence_level),
            "cache_bytes": self.cache_bytes,
            "plain_cache_bytes": self.plain_cache_bytes,
            "n_tokens": self.n_tokens,
            "device": self.device,
        }

    @property
    def cache_share(self) -> float:
        """Bytes of the plan's cache over those of the unmodified model."""
        return self.cache_bytes / self.plain_cache_bytes


class GenerateOptions(TypedDict, total=False):
    """Settings of ``model.generate`` that leave the number of tokens as it is."""

    suppress_tokens: list[int] | None
    pad_token_id: int | None
    cache_implementation: str | None
    prefill_chunk_size: int | None


def measure_decode(
    model: Any,
    batch: Batch,
    plans: Sequence[Plan],
    *,
    n_tokens: int = 16,
    rounds: int = 9,
    warmup: int = 1,
    rng: np.random.Generator | int | None = 0,
    progress: bool | None = None,
    **generate_options: Unpack[GenerateOptions],
) -> tuple[DecodeTiming, ...]:
    """Time greedy generation of exactly `n_tokens` tokens under each plan, paired with the unmodified model.

    Parameters
    ----------
    model : PreTrainedModel
        In eval mode.
    batch : dict or callable
        As in `sweep`; padded on the left if rows differ in length.
    plans : sequence of Plan
        What to time.
    n_tokens : int, default=16
        At least 2: the first token belongs to the prefill.
    rounds : int, default=9
        At least 6, the fewest that give an interval of level 0.95.
    warmup : int, default=1
        Rounds that are run and thrown away.
    rng : Generator or int
        Draws the order of each round.
    **generate_options
        Passed to ``model.generate``: suppress_tokens, pad_token_id, cache_implementation, prefill_chunk_size.
    progress : bool, optional
        Show a bar; by default on terminals only.

    Returns
    -------
    tuple of DecodeTiming
        In the order of `plans`.

    Raises
    ------
    InvalidInputError
        If the batch or a count cannot be used.
    """
    check_count(n_tokens, "n_tokens", lower=2)
    check_count(rounds, "rounds", lower=6)
    if model.training:
        raise InvalidInputError("need a model in eval mode to time it: call model.eval()")
    rng = np.random.default_rng(rng)
    contenders = [Plan(), *plans]
    common = model_inputs(model, batch(Plan()) if callable(batch) else batch)
    inputs = [common if (own := own_inputs(model, batch, plan)) is None else own for plan in contenders]
    options = {
        "max_new_tokens": n_tokens,
        "min_new_tokens": n_tokens,
        "do_sample": False,
        "use_cache": True,
        "return_dict_in_generate": True,
        **generate_options,
    }
    times: list[list[float]] = [[] for _ in contenders]
    sizes, peaks = [0] * len(contenders), [0] * len(contenders)
    on_cuda = model.device.type == "cuda"
    disable = None if progress is None else not progress
    with torch.inference_mode(), _Steps(model) as steps:
        for turn in tqdm(range(warmup + rounds), desc="decoding", unit="round", disable=disable):
            for i in rng.permutation(len(contenders)):
                with apply(model, contenders[i]):
                    if on_cuda:
                        torch.cuda.reset_peak_memory_stats(model.device)
                        before = torch.cuda.memory_allocated(model.device)
                    steps.clear()
                    output = model.generate(**inputs[i], **options)
                    per_token = steps.per_token()
                if turn >= warmup:
                    times[i].append(per_token)
                    sizes[i] = held_bytes(cache_of(output))
                    if on_cuda:
                        peaks[i] = max(peaks[i], torch.cuda.max_memory_allocated(model.device) - before)
    return tuple(
        DecodeTiming(
            plan=plan,
            token_ms=tuple(times[i]),
            plain_token_ms=tuple(times[0]),
            cache_bytes=sizes[i],
            plain_cache_bytes=sizes[0],
            peak_bytes=peaks[i] if on_cuda else None,
            plain_peak_bytes=peaks[0] if on_cuda else None,
            n_tokens=n_tokens,
            device=device_name(model),
        )
        for i, plan in enumerate(plans, start=1)
    )


class _Steps:
    """Time stamps at the start of every decoder pass of a generation."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._on_cuda = model.device.type == "cuda"
        self._stamps: list[float] = []
        self._undo = ExitStack()

    def __enter__(self) -> _Steps:
        hook = self._model.get_decoder().register_forward_pre_hook(lambda *_: self._stamp())
        self._undo.callback(hook.remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def clear(self) -> None:
        self._stamps.clear()

    def _stamp(self) -> None:
        if self._on_cuda:  # greedy generation waits for every token anyway
            torch.cuda.synchronize(self._model.device)
        self._stamps.append(time.perf_counter())

    def per_token(self) -> float:
        """Milliseconds from the second pass, the first of a single token, to the last one's start, per pass.

        With two tokens there is one such pass; its end is now.
        """
        self._stamp()
        return 1e3 * (self._stamps[-1] - self._stamps[1]) / (len(self._stamps) - 2)
