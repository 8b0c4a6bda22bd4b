"""What identifies a run: digests of weights, processor, template, prompt and samples, and how two runs differ."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from extraction.data.items import Sample
from extraction.data.units import settle_units
from extraction.models.device import dtype_name
from redundancy.errors import InvalidInputError, StoreError

__all__ = [
    "RunIdentity",
    "file_digest",
    "processor_digest",
    "sample_digest",
    "template_digest",
    "weights_digest",
]

# Libraries whose version may move a number; a change warns, because most changes move none.
_LIBRARIES = ("skip-it", "torch", "transformers", "tokenizers", "numpy", "pillow")
_COMPONENTS = ("tokenizer", "image_processor", "video_processor", "feature_extractor")
_VOLATILE = ("padding", "truncation")  # state of the last call of a tokenizer, not its content
_WORDS = {
    "model": "the model's name",
    "weights": "the weights",
    "dtype": "the dtype",
    "processor": "the processor",
    "template": "the chat template",
    "prompt": "the prompt",
    "samples": "the samples (ids, pixels, questions or answers)",
    "n_samples": "the number of samples",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIdentity:
    """Everything that decides what a model answers to a list of samples.

    Attributes
    ----------
    model : str
        Name; two names of equal weights are two models to a reader, so it counts.
    weights, processor, template : str
        Digests of `weights_digest`, `processor_digest` and `template_digest`.
    dtype : str
    prompt : str
        Template given by the user; "" if there is none.
    samples : str
        SHA-256 over `sample_digest` of all samples in order.
    n_samples : int
    versions : mapping of str to str
        Versions of libraries; they are recorded, and a change is told by `changed_versions`.
    """

    model: str
    weights: str
    processor: str
    template: str
    dtype: str
    prompt: str
    samples: str
    n_samples: int
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        processor: Any,
        samples: Sequence[Sample],
        *,
        name: str,
        prompt: str | None = None,
    ) -> RunIdentity:
        """Identity of a run of this model on these samples.

        Parameters
        ----------
        model : Module
            Its weights in memory count, so a change after loading is seen.
        processor : ProcessorMixin
        samples : sequence of Sample
            In the order of the run; their pictures are decoded unless `settle_units` has done so.
        name : str
        prompt : str, optional
            As in `extraction.data.render_prompt`.
        """
        settled = samples if all(s.pixels or s.unit for s in samples) else settle_units(samples)[0]
        return cls(
            model=name,
            weights=weights_digest(model),
            processor=processor_digest(processor),
            template=template_digest(processor),
            dtype=dtype_name(model),
            prompt=prompt or "",
            samples=_sha256(*map(sample_digest, settled)),
            n_samples=len(settled),
            versions={name: found for name in _LIBRARIES if (found := _version(name))},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "versions": dict(self.versions)}

    @classmethod
    def from_dict(cls, body: Any, *, where: str = "this file") -> RunIdentity:
        """Read what `to_dict` wrote.

        Raises
        ------
        StoreError
            If a field is missing or of another type; fields of later versions are left out.
        """
        kinds = {f.name: dict if f.name == "versions" else int if f.name == "n_samples" else str for f in fields(cls)}
        if not isinstance(body, dict):
            raise StoreError(f"need the identity of a run in {where}, got a {type(body).__name__}; run it anew")
        for name, kind in kinds.items():
            if type(body.get(name)) is not kind:
                raise StoreError(
                    f"need {name} in the identity of a run in {where}, got {body.get(name)!r}; run it anew"
                )
        return cls(**{name: body[name] for name in kinds})

    def difference(self, other: RunIdentity, *, but: Iterable[str] = ()) -> str | None:
        """What differs from another run, in words; None if both give the same numbers.

        Parameters
        ----------
        other : RunIdentity
        but : iterable of str
            Fields that may differ, such as "samples" for two shards' folders.

        Examples
        --------
        >>> run = RunIdentity(model="m", weights="1", processor="2", template="3", dtype="float32", prompt="",
        ...                   samples="4", n_samples=5)
        >>> from dataclasses import replace
        >>> run.difference(replace(run, weights="0", dtype="bfloat16"))
        'the weights and the dtype (float32, now bfloat16)'
        """
        found = []
        for name, words in _WORDS.items():
            mine, theirs = getattr(self, name), getattr(other, name)
            if name not in but and mine != theirs:
                is_digest = name in ("weights", "processor", "template", "samples")
                shown = "" if is_digest else f" ({mine or 'none'}, now {theirs or 'none'})"
                found.append(f"{words}{shown}")
        return None if not found else " and ".join([", ".join(found[:-1]), found[-1]] if found[1:] else found)

    def changed_versions(self, other: RunIdentity) -> str | None:
        """Libraries of another version there, in words; None if there is none."""
        names = {**self.versions, **other.versions}
        changed = [
            f"{name} ({self.versions.get(name, 'none')}, now {other.versions.get(name, 'none')})"
            for name in names
            if self.versions.get(name) != other.versions.get(name)
        ]
        return ", ".join(changed) or None


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over name, shape, type and every byte of all parameters and buffers of a model.

    Weights that wait on disk or in main memory (a device map with offloading) are read where they wait.

    Parameters
    ----------
    model : Module

    Returns
    -------
    str
        "weights:" and 64 hexadecimal digits.
    """
    named = [*model.named_parameters(), *model.named_buffers()]
    waiting = _offloaded(model)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # hashlib releases the GIL
        digests = list(pool.map(lambda pair: _tensor_digest(waiting.get(pair[0], pair[1])), named))
    return "weights:" + _sha256(*(f"{name}={digest}" for (name, _), digest in zip(named, digests, strict=True)))


def processor_digest(processor: Any) -> str:
    """SHA-256 over what a processor does to pictures and texts, its chat template aside.

    Parameters
    ----------
    processor : ProcessorMixin

    Returns
    -------
    str
        "processor:" and 64 hexadecimal digits.
    """
    parts: dict[str, Any] = {
        "processor": [type(processor).__name__, _plain(getattr(processor, "__dict__", {}), but=_COMPONENTS)]
    }
    for name in _COMPONENTS:
        part = getattr(processor, name, None)
        if part is not None:
            parts[name] = [type(part).__name__, _content(part)]
    return "processor:" + _sha256(json.dumps(parts, sort_keys=True, default=str))


def template_digest(processor: Any) -> str:
    """SHA-256 over the chat template of a processor, or its tokenizer's; of an empty text if there is none."""
    template = getattr(processor, "chat_template", None) or getattr(
        getattr(processor, "tokenizer", None), "chat_template", None
    )
    return "template:" + _sha256(json.dumps(template or "", sort_keys=True))


def sample_digest(sample: Sample) -> str:
    """SHA-256 over id, pixels, question, gold answers and unit of a sample that `settle_units` has settled."""
    if not (sample.pixels or sample.unit):
        raise InvalidInputError(f"need the pixels' digest of sample {sample.sample_id!r}; call settle_units first")
    body = [sample.sample_id, sample.pixels, sample.question, list(sample.answers), sample.unit]
    return _sha256(json.dumps(body))


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, such as a shard of weights; read once for each size and time of change.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    try:
        about = os.stat(path)
        return _file_digest(str(Path(path).resolve()), about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise StoreError(f"need a readable file, {path} gives: {error.strerror}") from error


@functools.lru_cache(maxsize=1024)
def _file_digest(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tensor_digest(tensor: torch.Tensor) -> str:
    head = f"{tuple(tensor.shape)}{tensor.dtype}"
    if tensor.is_meta:
        return f"{head}:meta"
    flat = tensor.detach().contiguous().cpu().reshape(-1)
    return f"{head}:{hashlib.sha256(flat.view(torch.uint8).numpy().data).hexdigest()}"


def _offloaded(model: nn.Module) -> dict[str, torch.Tensor]:
    """Tensors that accelerate's hooks bring to the device of each call, by name."""
    found: dict[str, torch.Tensor] = {}
    for prefix, module in model.named_modules():
        waiting = getattr(getattr(module, "_hf_hook", None), "weights_map", None)
        if waiting is not None:
            for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
                if tensor.is_meta:
                    found[f"{prefix}.{name}" if prefix else name] = waiting[name]
    return found


def _content(part: Any) -> Any:
    """What a tokenizer or an image processor holds, as plain data."""
    backend = getattr(part, "backend_tokenizer", None)
    if backend is not None:
        body = json.loads(backend.to_str())
        rest = {name: getattr(part, name, None) for name in ("padding_side", "special_tokens_map", "bos_token")}
        return [{key: value for key, value in body.items() if key not in _VOLATILE}, rest]
    if hasattr(part, "get_vocab"):
        return [part.get_vocab(), getattr(part, "special_tokens_map", None), getattr(part, "padding_side", None)]
    return _plain(part.to_dict() if hasattr(part, "to_dict") else getattr(part, "__dict__", {}))


def _plain(values: Mapping[str, Any], *, but: Sequence[str] = ()) -> dict[str, Any]:
    """Fields that hold settings: no private ones, no template, no version of the library that wrote them."""
    left_out = (*but, "chat_template", "transformers_version", "processor_class")
    simple = (str, int, float, bool, list, tuple, dict, type(None))
    return {k: v for k, v in values.items() if k not in left_out and k[:1] != "_" and isinstance(v, simple)}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _sha256(*texts: str) -> str:
    total = hashlib.sha256()
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        total.update(f"{len(raw)}:".encode())
        total.update(raw)
    return total.hexdigest()
