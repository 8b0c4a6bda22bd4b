"""Put a trained checkpoint into the package: float16 weights, tokenizer and image processor.

python examples/default_model/export.py runs/default_model/fp32
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from blueprint import make_processor
from transformers import LlavaForConditionalGeneration

from extraction.default_model import PATH


def main(checkpoint: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float16, local_files_only=True)
    model.save_pretrained(PATH)
    make_processor().save_pretrained(PATH)
    print(f"{PATH / 'model.safetensors'}: {(PATH / 'model.safetensors').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
