"""How long a prefill takes with and without a plan: interleaved rounds, medians, paired ratios with an interval."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from scipy.stats import binom
from tqdm.auto import tqdm

from extraction.skip.engine.patch import apply
from extraction.skip.plan import Plan
from extraction.study.validate import Batch, last_logits, model_inputs, own_inputs
from redundancy.checks import check_count, check_real
from redundancy.errors import InvalidInputError
from redundancy.files.tabular import Tabular

__all__ = ["PrefillTiming", "device_name", "measure_prefill", "median_interval"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillTiming(Tabular):
    """Times of one plan and of the unmodified model in the same rounds, in milliseconds, one entry per round.

    Parameters
    ----------
    plan : Plan
        The plan that was timed.
    total, decoder, vision : tuple of float
        Whole prefill; its decoder layers and final norm; all before the decoder (image tower, projector, merge).
    plain_total, plain_decoder, plain_vision : tuple of float
        The same of the unmodified model.
    device : str
        Where it ran, as "cpu (1 thread)".
    """

    plan: Plan
    total: tuple[float, ...]
    decoder: tuple[float, ...]
    vision: tuple[float, ...]
    plain_total: tuple[float, ...]
    plain_decoder: tuple[float, ...]
    plain_vision: tuple[float, ...]
    device: str

    @property
    def n_rounds(self) -> int:
        """Timed rounds."""
        return len(self.total)

    @property
    def speedup(self) -> float:
        """Median over rounds of unmodified time over the plan's time, whole prefill."""
        return median(_ratios(self.plain_total, self.total))

    @property
    def decoder_speedup(self) -> float:
        """The same for the decoder alone: what a plan can change."""
        return median(_ratios(self.plain_decoder, self.decoder))

    def speedup_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Distribution-free interval of the median ratio, whole prefill."""
        return median_interval(_ratios(self.plain_total, self.total), confidence_level)

    def decoder_speedup_interval(self, confidence_level: float = 0.95) -> tuple[float, float]:
        """Distribution-free interval of the median ratio, decoder alone."""
        return median_interval(_ratios(self.plain_decoder, self.decoder), confidence_level)

    def to_record(self, confidence_level: float = 0.95) -> dict[str, Any]:
        """One flat row of medians, ratios and their intervals."""
        return {
            "plan": str(self.plan),
            "prefill_ms": median(self.total),
            "decoder_ms": median(self.decoder),
            "vision_ms": median(self.vision),
            "plain_prefill_ms": median(self.plain_total),
            "plain_decoder_ms": median(self.plain_decoder),
            "prefill_speedup": self.speedup,
            "prefill_speedup_interval": self.speedup_interval(confidence_level),
            "decoder_speedup": self.decoder_speedup,
            "decoder_speedup_interval": self.decoder_speedup_interval(confidence_level),
            "n_rounds": self.n_rounds,
            "device": self.device,
        }


def median_interval(values: Sequence[float], confidence_level: float = 0.95) -> tuple[float, float]:
    """Interval between two order statistics that holds the median of the law of i.i.d. `values`.

    Raises
    ------
    InvalidInputError
        If there are too few values for the level: 6 are needed for 0.95.
    """
    delta = 1.0 - check_real(confidence_level, "confidence_level", lower=0.0, upper=1.0, open_ends=True)
    n = len(values)
    rank = int(binom.ppf(delta / 2, n, 0.5))  # binom.cdf(rank - 1) <= delta / 2 < ... by definition of ppf
    while rank > 0 and binom.cdf(rank - 1, n, 0.5) > delta / 2:
        rank -= 1
    if rank < 1:
        raise InvalidInputError(f"need more than {n} values for an interval of the median at level {confidence_level}")
    ordered = sorted(values)
    return ordered[rank - 1], ordered[n - rank]


def measure_prefill(
    model: Any,
    batch: Batch,
    plans: Sequence[Plan],
    *,
    rounds: int = 15,
    warmup: int = 2,
    rng: np.random.Generator | int | None = 0,
    progress: bool | None = None,
) -> tuple[PrefillTiming, ...]:
    """Time the prefill of one batch under each plan, paired with the unmodified model.

    Every round runs the unmodified model and all plans once, in an order drawn anew, so that drifts of the
    machine hit all alike. The engine is in place before the clock starts: what it does per forward counts,
    putting it in place does not. CUDA is timed with events on the stream.

    Parameters
    ----------
    model : PreTrainedModel
        In eval mode.
    batch : dict or callable
        As in `sweep`; labels are ignored.
    plans : sequence of Plan
        What to time.
    rounds : int, default=15
        At least 6, the fewest that give an interval of level 0.95.
    warmup : int, default=2
        Rounds that are run and thrown away.
    rng : Generator or int
        Draws the orders.
    progress : bool, optional
        Show a bar; by default on terminals only.

    Returns
    -------
    tuple of PrefillTiming
        In the order of `plans`.

    Raises
    ------
    InvalidInputError
        If the batch or a count cannot be used.
    """
    check_count(rounds, "rounds", lower=6)
    check_count(warmup, "warmup")
    if model.training:
        raise InvalidInputError("need a model in eval mode to time it: call model.eval()")
    rng = np.random.default_rng(rng)
    contenders = [Plan(), *plans]
    common = model_inputs(model, batch(Plan()) if callable(batch) else batch)
    inputs = [common if (own := own_inputs(model, batch, plan)) is None else own for plan in contenders]
    times: list[list[tuple[float, float, float]]] = [[] for _ in contenders]
    disable = None if progress is None else not progress
    with torch.inference_mode(), _Clock(model) as clock:
        for turn in tqdm(range(warmup + rounds), desc="timing", unit="round", disable=disable):
            for i in rng.permutation(len(contenders)):
                with apply(model, contenders[i]):
                    parts = clock.time(partial(last_logits, model, inputs[i], use_cache=True))
                if turn >= warmup:
                    times[i].append(parts)
    totals, decoders, visions = ([tuple(part[k] for part in own) for own in times] for k in range(3))
    return tuple(
        PrefillTiming(
            plan=plan,
            total=totals[i],
            decoder=decoders[i],
            vision=visions[i],
            plain_total=totals[0],
            plain_decoder=decoders[0],
            plain_vision=visions[0],
            device=device_name(model),
        )
        for i, plan in enumerate(plans, start=1)
    )


class _Clock:
    """Time stamps at the start of a call, around its decoder, and at its end."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._on_cuda = model.device.type == "cuda"
        self._stamps: list[Any] = []
        self._undo = ExitStack()

    def __enter__(self) -> _Clock:
        decoder = self._model.get_decoder()
        self._undo.callback(decoder.register_forward_pre_hook(lambda *_: self._stamp()).remove)
        self._undo.callback(decoder.register_forward_hook(lambda *_: self._stamp()).remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _stamp(self) -> None:
        if self._on_cuda:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._stamps.append(event)
        else:
            self._stamps.append(time.perf_counter())

    def time(self, call: Callable[[], object]) -> tuple[float, float, float]:
        """Milliseconds of the whole call, of its decoder, and of what comes before."""
        self._stamps.clear()
        self._stamp()
        call()
        self._stamp()
        if self._on_cuda:
            torch.cuda.synchronize(self._model.device)
        start, entry, leave, end = self._stamps
        return self._between(start, end), self._between(entry, leave), self._between(start, entry)

    def _between(self, first: Any, second: Any) -> float:
        return float(first.elapsed_time(second)) if self._on_cuda else 1e3 * (second - first)


def _ratios(plain: Sequence[float], plan: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(plain, plan, strict=True)]


def device_name(model: Any) -> str:
    """Where a model runs, as "cpu (1 thread)"."""
    if model.device.type == "cuda":
        return str(torch.cuda.get_device_name(model.device))
    threads = torch.get_num_threads()
    return f"{model.device.type} ({threads} thread{'s' if threads > 1 else ''})"
