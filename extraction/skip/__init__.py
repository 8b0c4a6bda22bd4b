"""Skip for real: plans, the engine that runs them, their cost, and the choice of one with a guarantee."""

from extraction.skip.patch import Skipping, apply
from extraction.skip.plan import (
    Plan,
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
    "Plan",
    "Skipping",
    "apply",
    "late_entry",
    "logit_exit",
    "parse_plan",
    "random_keep",
    "skip_attention",
    "skip_layers",
    "skip_mlp",
    "text_exit",
    "vision_exit",
]
