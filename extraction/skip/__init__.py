"""Skip for real: plans, the engine that runs them, their cost, and the choice of one with a guarantee."""

from extraction.skip.choose import PlanChoice, PlanTest, choose_plan, select_plan
from extraction.skip.cost import (
    DecoderShape,
    cache_bytes,
    decode_bytes,
    decode_flops,
    flop_speedup,
    kv_share,
    prefill_flops,
    tokens_per_layer,
)
from extraction.skip.decode_timing import DecodeTiming, measure_decode
from extraction.skip.downsample import plan_batch
from extraction.skip.evaluation import PlanEvaluation
from extraction.skip.export import export_checkpoint, remove_layers
from extraction.skip.memory import MemoryUse, measure_memory
from extraction.skip.outcomes import OutcomeLog
from extraction.skip.patch import Skipping, apply
from extraction.skip.plan import Plan
from extraction.skip.routers import LayerInput, Router, StillVisionExit
from extraction.skip.sweeps import SWEEPS, sweep_plans
from extraction.skip.tables import SweepTable
from extraction.skip.terms import (
    downsample_image,
    fastv,
    hide_vision,
    late_entry,
    logit_exit,
    parse_plan,
    random_keep,
    skip_attention,
    skip_layers,
    skip_mlp,
    text_exit,
    vision_exit,
)
from extraction.skip.time_model import TimeModel, calibration_plans, fit_time
from extraction.skip.timing import PrefillTiming, measure_prefill
from extraction.skip.validate import evaluate, sweep

__all__ = [
    "SWEEPS",
    "DecodeTiming",
    "DecoderShape",
    "LayerInput",
    "MemoryUse",
    "OutcomeLog",
    "Plan",
    "PlanChoice",
    "PlanEvaluation",
    "PlanTest",
    "PrefillTiming",
    "Router",
    "Skipping",
    "StillVisionExit",
    "SweepTable",
    "TimeModel",
    "apply",
    "cache_bytes",
    "calibration_plans",
    "choose_plan",
    "decode_bytes",
    "decode_flops",
    "downsample_image",
    "evaluate",
    "export_checkpoint",
    "fastv",
    "fit_time",
    "flop_speedup",
    "hide_vision",
    "kv_share",
    "late_entry",
    "logit_exit",
    "measure_decode",
    "measure_memory",
    "measure_prefill",
    "parse_plan",
    "plan_batch",
    "prefill_flops",
    "random_keep",
    "remove_layers",
    "select_plan",
    "skip_attention",
    "skip_layers",
    "skip_mlp",
    "sweep",
    "sweep_plans",
    "text_exit",
    "tokens_per_layer",
    "vision_exit",
]
