from .families import TINY_FAMILIES, TinyFamily, tiny_family
from .llava import tiny_batch, tiny_llava
from .weights import BOS_ID, EOS_ID, FIRST_WORD_ID, IMAGE_ID, PAD_ID, randomise

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
