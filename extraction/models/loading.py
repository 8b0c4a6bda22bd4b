"""Load a vision-language model and its processor from a folder, offline unless asked otherwise."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from redundancy.errors import InvalidInputError, MissingExtraError, UnsupportedModelError

__all__ = ["load_model_and_processor"]

_DTYPES = ("auto", "float32", "bfloat16", "float16")
_SPREADS = ("auto", "balanced", "balanced_low_0", "sequential")


def load_model_and_processor(
    name: str,
    *,
    dtype: str = "auto",
    device: str = "cpu",
    allow_download: bool = False,
    trust_remote_code: bool = False,
) -> tuple[Any, Any]:
    """Return the model in eval mode and its processor.

    Parameters
    ----------
    name : str
        Folder of an image-text-to-text model; with `allow_download` also a name on a hub.
    dtype : {"auto", "float32", "bfloat16", "float16"}
        "auto" is the dtype that the weights are stored in.
    device : str
        A torch device; or, for a model larger than one device, how accelerate is to spread its layers: "auto",
        "balanced" or "sequential", or the path of a JSON file with a device map, such as
        ``{"model.vision_tower": 0, "model.language_model": 1, "lm_head": 1}``; "cpu" and "disk" offload.
    allow_download, trust_remote_code : bool
        Off by default: nothing is fetched and no foreign code is run.

    Returns
    -------
    (PreTrainedModel, ProcessorMixin)

    Raises
    ------
    InvalidInputError
        If the folder, its configuration, weights or processor cannot be read.
    UnsupportedModelError
        If its model type is unknown to this transformers, or is no image-text-to-text model.
    MissingExtraError
        If the model is to be spread and accelerate is not installed.
    """
    import torch
    import transformers
    from transformers import AutoConfig, AutoModelForImageTextToText

    if dtype not in _DTYPES:
        raise InvalidInputError(f"need a dtype among {_DTYPES}, got {dtype!r}")
    folder = Path(name)
    if not allow_download:
        if not folder.is_dir():
            raise InvalidInputError(
                f"need the folder of a model, {name} is none; give a folder, or --allow-download for a hub name"
            )
        if not (folder / "config.json").is_file():
            raise InvalidInputError(f"need a model folder with a config.json, {name} has none")
    options = {"local_files_only": not allow_download, "trust_remote_code": trust_remote_code}
    try:
        config = AutoConfig.from_pretrained(name, **options)
    except (ValueError, KeyError) as error:
        # transformers' own message runs over many lines; the model type is what a reader needs.
        raise UnsupportedModelError(
            f"need a model type that transformers knows, {_model_type(folder)} is not one: {_first_line(error)}"
        ) from error
    except OSError as error:
        raise InvalidInputError(f"need a readable model configuration in {name}: {_first_line(error)}") from error
    if type(config) not in AutoModelForImageTextToText._model_mapping:
        raise UnsupportedModelError(
            f"need an image-text-to-text model, {config.model_type!r} is none that transformers lists as such"
        )
    device_map = _device_map(device)
    placement = {} if device_map is None else {"device_map": device_map}
    try:
        model: Any = AutoModelForImageTextToText.from_pretrained(
            name, dtype=dtype, use_safetensors=True, **placement, **options
        )
        auto_processor: Any = transformers.AutoProcessor
        processor = auto_processor.from_pretrained(name, **options)
    except (OSError, ValueError, ImportError) as error:
        raise InvalidInputError(f"need readable weights and a processor in {name}: {_first_line(error)}") from error
    if device_map is None:
        try:
            model = model.to(torch.device(device))
        except (RuntimeError, AssertionError) as error:
            raise InvalidInputError(
                f"need a device that torch can use, got {device!r}: {_first_line(error)}"
            ) from error
    return model.eval(), processor


def _device_map(device: str) -> str | dict[str, Any] | None:
    """What accelerate is asked for; None for a single device."""
    if device not in _SPREADS and not device.endswith(".json"):
        return None
    if find_spec("accelerate") is None:
        raise MissingExtraError('spreading a model over devices needs accelerate: pip install "skip-it[eval]"')
    if device in _SPREADS:
        return device
    try:
        found = json.loads(Path(device).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"need a JSON file with a device map, {device} gives: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(place, (int, str)) for place in found.values()):
        raise InvalidInputError(f'need a device map as {{"model.language_model": 0, "lm_head": "cpu"}} in {device}')
    return found


def _model_type(folder: Path) -> str:
    try:
        return repr(json.loads((folder / "config.json").read_text()).get("model_type"))
    except (OSError, ValueError):
        return "that of this model"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
