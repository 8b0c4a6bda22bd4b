"""Existing benchmarks on a skipping model: lm-eval, lmms-eval, an answer judge, and the scores of free-form answers."""

from extraction.harness.judge import Judge, JudgeDownError, JudgeItem, JudgeReport
from extraction.harness.lm_eval_harness import lm_eval_model
from extraction.harness.scores import anls, exact_match, vqa_soft_accuracy

__all__ = [
    "Judge",
    "JudgeDownError",
    "JudgeItem",
    "JudgeReport",
    "anls",
    "exact_match",
    "lm_eval_model",
    "vqa_soft_accuracy",
]
