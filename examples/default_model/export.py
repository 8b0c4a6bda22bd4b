"""Put a trained checkpoint into the package: float16 weights, tokenizer and image processor.

python examples/default_model/export.py runs/default_model/fp32
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from blueprint import make_processor
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

from extraction.default_model import PATH


def main(checkpoint: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float16, local_files_only=True)
    model.save_pretrained(PATH)
    file = PATH / "model.safetensors"
    # The names of transformers before 5, which all servers know and transformers reads, too.
    new, old = "vision_tower.", "vision_tower.vision_model."
    weights = {
        name if name.startswith(old) else name.replace(new, old, 1): tensor for name, tensor in load_file(file).items()
    }
    save_file(weights, file, {"format": "pt"})
    make_processor().save_pretrained(PATH)
    print(f"{PATH / 'model.safetensors'}: {(PATH / 'model.safetensors').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
