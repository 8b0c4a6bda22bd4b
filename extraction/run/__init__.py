"""Harvests that survive interruption, run in shards, and stop as soon as a question is decided."""

from extraction.run.folder import HarvestFolder
from extraction.run.loop import HarvestRun, harvest_to
from extraction.run.question import Question
from extraction.run.shelf import StoreOptions

__all__ = ["HarvestFolder", "HarvestRun", "Question", "StoreOptions", "harvest_to"]
