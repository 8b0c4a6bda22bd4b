from .compare import compare
from .judging import TaskComparison
from .logs import RunLog, read_log
from .result import Comparison

__all__ = ["Comparison", "RunLog", "TaskComparison", "compare", "read_log"]
