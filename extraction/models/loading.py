"""The one loader of models: a model and its processor from a folder, checked before anything is computed with them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from extraction.data.pictures import reason
from redundancy.errors import InvalidInputError, MissingExtraError, SkipItError, UnsupportedModelError

__all__ = ["load_model_and_processor", "torchvision_advice"]

_LOG = logging.getLogger("skip_it.models")
_DTYPES = ("auto", "float32", "bfloat16", "float16")
_SPREADS = ("auto", "balanced", "balanced_low_0", "sequential")
_ADAPTER = "adapter_config.json"
_FAULTS = {
    "missing_keys": "missing in the files",
    "unexpected_keys": "unknown to the model",
    "mismatched_keys": "of another shape",
}


def load_model_and_processor(
    name: str,
    *,
    dtype: str = "auto",
    device: str = "cpu",
    allow_download: bool = False,
    trust_remote_code: bool = False,
    merge_adapter: bool = False,
) -> tuple[Any, Any]:
    """Return the model in eval mode and its processor.

    Every weight of the model must be in the files, in its shape, and every weight of the files in the model: otherwise
    transformers fills the gaps with random numbers. A tokenizer without a padding token gets its end token for that,
    and a processor without a chat template that of its tokenizer; the log says so.

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
    merge_adapter : bool, default=False
        Merge the adapter (PEFT) that lies in the folder into the weights. Without it such a folder is refused.

    Returns
    -------
    (PreTrainedModel, ProcessorMixin)

    Raises
    ------
    InvalidInputError
        If the folder, its configuration, weights or processor cannot be read, or weights are missing, unknown
        or of another shape, with their number and three names.
    UnsupportedModelError
        If its model type is unknown to this transformers, or is no image-text-to-text model.
    MissingExtraError
        If a library is missing that the model needs; the sentence names the command that installs it.
    """
    if dtype not in _DTYPES:
        raise InvalidInputError(f"need a dtype among {_DTYPES}, got {dtype!r}")
    folder = Path(name)
    adapter = (folder / _ADAPTER).is_file()
    if adapter != merge_adapter:
        raise InvalidInputError(
            f"need leave to merge the adapter in {name}; give --merge-adapter, or the folder of the model alone"
            if adapter
            else f"need a folder with an {_ADAPTER} to merge an adapter, {name} has none"
        )
    base = name if not adapter or (folder / "config.json").is_file() else _base(folder)
    options = {"local_files_only": not allow_download, "trust_remote_code": trust_remote_code}
    config = _config(base, allow_download, options)
    device_map = _device_map(device)
    placement = {} if device_map is None else {"device_map": device_map}
    model = _weights(base, config, {"dtype": dtype, **placement, **options})
    if adapter:
        model = _merged(model, name)
    processor = _processor(name if adapter and _has_processor(folder) else base, options)
    if device_map is None:
        model = _foreign(lambda: model.to(device), f"need a device that torch can use, got {device!r}")
    return model.eval(), _mended(processor, name)


def torchvision_advice() -> str:
    """The command that installs the torchvision that belongs to the installed torch.

    Returns
    -------
    str
    """
    match = re.match(r"2\.(\d+)", _version("torch"))
    return f'pip install "torchvision==0.{int(match[1]) + 15}.*"' if match else "pip install torchvision"


def _config(name: str, allow_download: bool, options: Mapping[str, Any]) -> Any:
    from transformers import AutoConfig, AutoModelForImageTextToText

    folder = Path(name)
    if not allow_download:
        if not folder.is_dir():
            raise InvalidInputError(
                f"need the folder of a model, {name} is none; give a folder, or --allow-download for a hub name"
            )
        if not (folder / "config.json").is_file():
            raise InvalidInputError(f"need a model folder with a config.json, {name} has none")
    try:
        config: Any = AutoConfig.from_pretrained(name, **options)
    except (ValueError, KeyError) as error:
        # transformers' own message runs over many lines; the model type is what a reader needs.
        raise UnsupportedModelError(
            f"need a model type that transformers knows, {_model_type(folder)} is not one: {reason(error)}"
        ) from error
    except Exception as error:  # a torn file, a recursion: the border to a foreign library
        raise InvalidInputError(f"need a readable model configuration in {name}: {reason(error)}") from error
    if type(config) not in AutoModelForImageTextToText._model_mapping and not _brings_code(config):
        raise UnsupportedModelError(
            f"need an image-text-to-text model, {config.model_type!r} is none that transformers lists as such"
        )
    return config


def _weights(name: str, config: Any, options: Mapping[str, Any]) -> Any:
    from transformers import AutoModelForImageTextToText

    model, info = _foreign(
        lambda: AutoModelForImageTextToText.from_pretrained(
            name,
            config=config,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # which is then refused below, by name
            **options,
        ),
        f"need readable weights in {name}",
    )
    faults = []
    for key, words in _FAULTS.items():
        names = sorted({str(one[0] if isinstance(one, tuple) else one) for one in info.get(key, ())})
        if names:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            faults.append(f"{len(names)} {words} ({shown})")
    if info.get("error_msgs"):
        faults.append(reason(ValueError(str(info["error_msgs"]))))
    if faults:
        raise InvalidInputError(
            f"need the weights of this very model in {name}, got some that do not fit: {'; '.join(faults)}; give the "
            "files that belong to its config.json"
        )
    return model


def _merged(model: Any, name: str) -> Any:
    if find_spec("peft") is None:
        raise MissingExtraError('merging an adapter needs peft: pip install "skip-it[adapters]"')
    from peft import PeftModel  # type: ignore[import-not-found, unused-ignore]

    return _foreign(
        lambda: PeftModel.from_pretrained(model, name).merge_and_unload(), f"need a readable adapter in {name}"
    )


def _base(folder: Path) -> str:
    """The model that an adapter was trained on."""
    try:
        base = json.loads((folder / _ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"]
        if not isinstance(base, str):
            raise TypeError(f"a {type(base).__name__} as its base model")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInputError(
            f"need an {_ADAPTER} that names its base model, {folder} gives: {reason(error)}"
        ) from error
    return base


def _has_processor(folder: Path) -> bool:
    return any((folder / file).is_file() for file in ("processor_config.json", "preprocessor_config.json"))


def _processor(name: str, options: Mapping[str, Any]) -> Any:
    import transformers

    auto: Any = transformers.AutoProcessor
    processor: Any = _foreign(lambda: auto.from_pretrained(name, **options), f"need the model's processor in {name}")
    lacking = [part for part in ("tokenizer", "image_processor") if getattr(processor, part, None) is None]
    if lacking:
        raise InvalidInputError(
            f"need a processor with a tokenizer and an image processor in {name}, it lacks {' and '.join(lacking)}; "
            "copy processor_config.json, preprocessor_config.json and the tokenizer's files from the original model"
        )
    return processor


def _mended(processor: Any, name: str) -> Any:
    """A padding token and a template where one is at hand, said in the log."""
    tokenizer = processor.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        if tokenizer.pad_token is None:
            raise InvalidInputError(f"need a tokenizer with a padding, end or unknown token in {name}, it has none")
        _LOG.warning("%s has no padding token: %r is used for padding, masked as always", name, tokenizer.pad_token)
    if not getattr(processor, "chat_template", None) and getattr(tokenizer, "chat_template", None):
        processor.chat_template = tokenizer.chat_template
        _LOG.warning("%s has a chat template with its tokenizer only: it is used", name)
    return processor


def _foreign(call: Callable[[], Any], needed: str) -> Any:
    """Call transformers; whatever it raises becomes a sentence with the whole cause."""
    try:
        return call()
    except SkipItError:
        raise
    except Exception as error:  # its loaders raise dozens of kinds, those of safetensors and torch among them
        text = str(error)
        if "torchvision" in text.lower():
            raise MissingExtraError(f"{needed}, which uses torchvision: {torchvision_advice()}") from error
        raise InvalidInputError(f"{needed}: {reason(error)}") from error


def _brings_code(config: Any) -> bool:
    """Whether the folder brings its own class, which transformers runs only when asked to trust it."""
    return any("ImageTextToText" in name for name in getattr(config, "auto_map", None) or {})


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
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"need a JSON file with a device map, {device} gives: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(place, (int, str)) for place in found.values()):
        raise InvalidInputError(f'need a device map as {{"model.language_model": 0, "lm_head": "cpu"}} in {device}')
    return found


def _model_type(folder: Path) -> str:
    try:
        return repr(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type"))
    except (OSError, ValueError, AttributeError, RecursionError):
        return "that of this model"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
