from .choice import PlanChoice, PlanTest
from .choose import choose_plan, select_plan
from .evaluation import PlanEvaluation
from .outcomes import OutcomeLog
from .sweeps import SWEEPS, sweep_plans
from .tables import SweepTable
from .validate import evaluate, sweep

__all__ = [
    "SWEEPS",
    "OutcomeLog",
    "PlanChoice",
    "PlanEvaluation",
    "PlanTest",
    "SweepTable",
    "choose_plan",
    "evaluate",
    "select_plan",
    "sweep",
    "sweep_plans",
]
