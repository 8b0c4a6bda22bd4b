from .app import build_app
from .audit import Auditor
from .batcher import Batcher
from .protocol import Limits

__all__ = ["Auditor", "Batcher", "Limits", "build_app"]
