"""What `skip-it doctor` tells of the extraction layer: devices and model families; loads no torch itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from redundancy.errors import InvalidInputError

__all__ = ["FAMILIES", "examine_model", "probe"]

# Family: folder of transformers that brings it, and what runs on it; docs/model_support.md has the measurements.
FAMILIES: dict[str, tuple[str, str]] = {
    "llava": ("llava", "harvest and skip"),
    "llava_next": ("llava_next", "harvest and skip"),
    "deepseek_vl": ("deepseek_vl", "harvest and skip"),
    "internvl": ("internvl", "harvest and skip"),
    "gemma3": ("gemma3", "harvest and skip"),
    "paligemma": ("paligemma", "harvest and skip"),
    "blip2": ("blip_2", "harvest and skip in a forward pass"),
    "idefics3": ("idefics3", "harvest and skip"),
    "smolvlm": ("smolvlm", "harvest and skip"),
    "llava_onevision": ("llava_onevision", "harvest and skip"),
    "vipllava": ("vipllava", "harvest and skip"),
    "aya_vision": ("aya_vision", "harvest and skip"),
    "cohere2_vision": ("cohere2_vision", "harvest and skip"),
    "idefics2": ("idefics2", "harvest and skip"),
    "aria": ("aria", "harvest and skip"),
    "ovis2": ("ovis2", "harvest and skip"),
    "llama4": ("llama4", "harvest and skip"),
    "got_ocr2": ("got_ocr2", "harvest and skip"),
    "janus": ("janus", "harvest and skip"),
    "instructblip": ("instructblip", "harvest and skip in a forward pass"),
    "mistral3": ("mistral3", "harvest and skip"),
    "pixtral": ("pixtral", "harvest and skip"),
    "qwen2_vl": ("qwen2_vl", "harvest and skip"),
    "qwen2_5_vl": ("qwen2_5_vl", "harvest and skip"),
    "qwen3_vl": ("qwen3_vl", "harvest and skip"),
    "lighton_ocr": ("lighton_ocr", "harvest and skip"),
    "qwen3_vl_moe": ("qwen3_vl_moe", "harvest and skip"),
    "glm4v": ("glm4v", "harvest and skip"),
    "glm46v": ("glm46v", "harvest and skip"),
    "glm4v_moe": ("glm4v_moe", "harvest and skip"),
    "kimi_k25": ("kimi_k25", "harvest and skip"),
    "paddleocr_vl": ("paddleocr_vl", "harvest and skip"),
    "ernie4_5_vl_moe": ("ernie4_5_vl_moe", "harvest and skip"),
    "video_llama_3": ("video_llama_3", "harvest and skip"),
    "molmo2": ("molmo2", "harvest and skip"),
    "qwen3_5": ("qwen3_5", "harvest and skip"),
    "qwen3_5_moe": ("qwen3_5_moe", "harvest and skip"),
    "minicpmv4_6": ("minicpmv4_6", "harvest and skip"),
    "lfm2_vl": ("lfm2_vl", "harvest and skip"),
    "gemma4": ("gemma4", "harvest, and skip with some plans"),
    "mllama": ("mllama", "harvest of text only (cross-attention: no vision tokens)"),
    "idefics": ("idefics", "harvest of text only (cross-attention: no vision tokens)"),
}

# torch is asked in a process of its own: doctor must work, and stay quick to import, where torch is broken.
_DEVICES = """
import json, torch
found = [f"cpu: {torch.get_num_threads()} threads"]
for i in range(torch.cuda.device_count()):
    p = torch.cuda.get_device_properties(i)
    found.append(f"cuda:{i}: {p.name}, {p.total_memory / 2**30:.0f} GiB")
if torch.backends.mps.is_available():
    found.append("mps: has no float64, so it serves for timing only")
print(json.dumps(found))
"""


def probe() -> dict[str, list[str]]:
    """Lines about devices and families, by title; a fault is a line that says what it is.

    Returns
    -------
    dict of str to list of str
    """
    return {"Devices": _devices(), "Model families tested": _families()}


def examine_model(name: str) -> dict[str, list[str]]:
    """Load a model, run it once, and once under a plan.

    Parameters
    ----------
    name : str
        Folder of a model, or "embedded".

    Returns
    -------
    dict of str to list of str
        Lines by title.

    Raises
    ------
    SkipItError
        If it cannot be loaded or run; the sentence says what to install or mend.
    """
    import numpy as np
    import torch

    from extraction.commands.support import EMBEDDED, hush_libraries
    from extraction.data import Sample, make_batch
    from extraction.data.prompts import prompt_text
    from extraction.default_model import PATH
    from extraction.models.adapters import adapt
    from extraction.models.loading import load_model_and_processor
    from extraction.models.selfcheck import fitting
    from extraction.skip import apply, vision_exit

    hush_libraries()
    model, processor = load_model_and_processor(str(PATH) if name == EMBEDDED else name, dtype="auto")
    adapter = adapt(model)
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    sample = Sample("doctor", pixels, "what is in the image ?")
    batch = make_batch(processor, [sample], vision_ids=adapter.vision_ids)
    inputs = {key: value for key, value in batch.items() if key not in ("sample_ids", "units", "special_mask")}
    inputs = {k: v.to(model.dtype) if torch.is_tensor(v) and v.is_floating_point() else v for k, v in inputs.items()}
    with torch.inference_mode(), fitting(model):
        plain = model(**inputs).logits[0, -1]
    if not torch.isfinite(plain).all():
        raise InvalidInputError(
            f"need finite logits of {name}, its forward pass gives NaN or infinity; mend its weights"
        )
    n_vision = int(torch.isin(batch["input_ids"], torch.tensor(adapter.vision_ids, dtype=torch.long)).sum())
    lines = [
        f"{adapter.model_type}, {sum(p.numel() for p in model.parameters()):,} parameters of {model.dtype}, "
        f"{adapter.n_layers} layers",
        f"prompt: {prompt_text(processor, sample)!r}",
        f"one forward pass: {batch['input_ids'].shape[1]} tokens, {n_vision} of them vision; answers "
        f"{processor.tokenizer.decode([int(plain.argmax())])!r}",
    ]
    if n_vision:
        plan = vision_exit(max(1, adapter.n_layers // 2))
        with torch.inference_mode(), apply(model, plan):
            skipped = model(**inputs).logits[0, -1]
        same = "the same answer" if int(skipped.argmax()) == int(plain.argmax()) else "another answer"
        lines.append(f"one pass under {plan}: {same}")
    else:
        lines.append("no vision tokens in its stream: harvest of text only, and no plan")
    return {f"Model {name}": lines}


def _devices() -> list[str]:
    if find_spec("torch") is None:
        return ['torch is not installed: pip install "skip-it[extract]"']
    try:
        done = subprocess.run(
            [sys.executable, "-c", _DEVICES], capture_output=True, text=True, timeout=120, check=True, env=os.environ
        )
        found: Any = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return ["torch did not answer within 120 s"]
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        last = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        return [f"torch cannot be used: {last[-1] if last else type(error).__name__}"]
    return [str(line) for line in found]


def _families() -> list[str]:
    spec = find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        return ['transformers is not installed: pip install "skip-it[extract]"']
    models = Path(spec.submodule_search_locations[0]) / "models"
    return [
        f"{name}: {does}" if (models / folder).is_dir() else f"{name}: not in the transformers installed here"
        for name, (folder, does) in FAMILIES.items()
    ] + ["any other: by the general recipe, checked on the first batch, or with layers_path"]
