from .judge import Judge, JudgeDownError, JudgeItem, JudgeReport
from .lm_eval_harness import lm_eval_model
from .scores import anls, exact_match, vqa_soft_accuracy

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
