"""Random tiny vision-language models built from config classes, for tests and self-checks: no download."""

from extraction.tiny.families import TINY_FAMILIES, TinyFamily, tiny_family
from extraction.tiny.llava import tiny_batch, tiny_llava
from extraction.tiny.weights import BOS_ID, EOS_ID, FIRST_WORD_ID, IMAGE_ID, PAD_ID, randomise

__all__ = [
    "BOS_ID",
    "EOS_ID",
    "FIRST_WORD_ID",
    "IMAGE_ID",
    "PAD_ID",
    "TINY_FAMILIES",
    "TinyFamily",
    "randomise",
    "tiny_batch",
    "tiny_family",
    "tiny_llava",
]
