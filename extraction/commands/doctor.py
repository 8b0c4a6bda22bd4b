"""What `skip-it doctor` tells of the extraction layer: devices and model families; loads no torch itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["FAMILIES", "probe"]

# Family: folder of transformers that brings it, and what runs on it; docs/model_support.md has the measurements.
FAMILIES: dict[str, tuple[str, str]] = {
    "llava": ("llava", "harvest and skip"),
    "llava_next": ("llava_next", "harvest and skip"),
    "deepseek_vl": ("deepseek_vl", "harvest and skip"),
    "qwen2_vl": ("qwen2_vl", "harvest and skip"),
    "qwen2_5_vl": ("qwen2_5_vl", "harvest and skip"),
    "qwen3_vl": ("qwen3_vl", "harvest and skip"),
    "idefics3": ("idefics3", "harvest and skip"),
    "smolvlm": ("smolvlm", "harvest and skip"),
    "internvl": ("internvl", "harvest and skip"),
    "gemma3": ("gemma3", "harvest and skip"),
    "paligemma": ("paligemma", "harvest and skip"),
    "mistral3": ("mistral3", "harvest and skip"),
    "pixtral": ("pixtral", "harvest and skip"),
    "blip2": ("blip_2", "harvest and skip in a forward pass"),
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
