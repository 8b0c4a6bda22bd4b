from .cost.decode_timing import DecodeTiming, measure_decode
from .cost.memory import MemoryUse, measure_memory
from .cost.prediction import (
    DecoderShape,
    cache_bytes,
    decode_bytes,
    decode_flops,
    flop_speedup,
    kv_share,
    prefill_flops,
    tokens_per_layer,
)
from .cost.time_model import TimeModel, calibration_plans, fit_time
from .cost.timing import PrefillTiming, measure_prefill
from .downsample import plan_batch
from .engine.patch import Skipping, apply
from .export import export_checkpoint, remove_layers
from .plan import Plan
from .routers import LayerInput, Router, StillVisionExit
from .terms import (
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

__all__ = [
    "DecodeTiming",
    "DecoderShape",
    "LayerInput",
    "MemoryUse",
    "Plan",
    "PrefillTiming",
    "Router",
    "Skipping",
    "StillVisionExit",
    "TimeModel",
    "apply",
    "cache_bytes",
    "calibration_plans",
    "decode_bytes",
    "decode_flops",
    "downsample_image",
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
    "skip_attention",
    "skip_layers",
    "skip_mlp",
    "text_exit",
    "tokens_per_layer",
    "vision_exit",
]
