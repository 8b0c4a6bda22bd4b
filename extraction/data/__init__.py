"""Samples of image, question and answer: reading, prompting, scoring."""

from extraction.data.items import Sample, as_sample, read_jsonl
from extraction.data.prompts import DEFAULT_PROMPT, make_batch, render_prompt

__all__ = ["DEFAULT_PROMPT", "Sample", "as_sample", "make_batch", "read_jsonl", "render_prompt"]
