from .items import Sample, as_sample
from .prompts import DEFAULT_PROMPT, make_batch, render_prompt
from .sources import batches_by_length, read_dataset, read_folder, read_jsonl, read_parquet, read_samples
from .units import settle_units

__all__ = [
    "DEFAULT_PROMPT",
    "Sample",
    "as_sample",
    "batches_by_length",
    "make_batch",
    "read_dataset",
    "read_folder",
    "read_jsonl",
    "read_parquet",
    "read_samples",
    "render_prompt",
    "settle_units",
]
