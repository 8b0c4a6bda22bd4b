from .compare import Comparison, TaskComparison, compare
from .logs import RunLog, read_log

__all__ = ["Comparison", "RunLog", "TaskComparison", "compare", "read_log"]
