"""lmms-eval on a skipping model: its documented wrapper interface, imported only when the harness asks for it.

`SkipIt`, the class that lmms-eval loads, is made on first access, so that this module imports without lmms-eval.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from tqdm.auto import tqdm

from extraction.data.prompts import render_prompt
from extraction.harness.lm_eval_harness import check_plan
from extraction.models.loading import load_model_and_processor
from extraction.skip import apply, parse_plan
from redundancy.errors import InvalidInputError, MissingExtraError, UnsupportedModelError

__all__ = ["SkippingResponder", "model_manifest"]

_GENERATION = ("max_new_tokens", "temperature", "do_sample", "top_p", "num_beams")
_OWN_PLACEHOLDER = "<image>"


class SkippingResponder:
    """Answers lmms-eval's requests with a plan applied; the harness's base class comes on top in `SkipIt`.

    Parameters
    ----------
    pretrained : str
        Folder of the model.
    plan : str
        Text of a plan, with ";" where the text has ",", which separates arguments on the command line:
        "fastv(2;0.5) + vision_exit(24)".
    device, dtype : str
        As in `load_model_and_processor`.
    batch_size : int
        Requests per forward pass.
    max_new_tokens : int
        Where a task sets no limit. The paper generates 256.
    allow_download, trust_remote_code : bool
        Off by default.
    **options
        What the harness adds; anything but its own ``max_batch_size`` is refused.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str,
        plan: str = "identity",
        device: str = "cpu",
        dtype: str = "auto",
        batch_size: int | str = 1,
        max_new_tokens: int = 256,
        allow_download: bool = False,
        trust_remote_code: bool = False,
        **options: object,
    ) -> None:
        super().__init__()
        options.pop("max_batch_size", None)
        if options:
            raise InvalidInputError(f"need arguments that the wrapper knows, got {sorted(options)}; see its docstring")
        self.plan = check_plan(parse_plan(plan.replace(";", ",")))
        self.model, self.processor = load_model_and_processor(
            pretrained,
            dtype=dtype,
            device=device,
            allow_download=allow_download,
            trust_remote_code=trust_remote_code,
        )
        with apply(self.model, self.plan):
            pass  # what does not fit fails here, before a benchmark is loaded
        self.batch_size = int(batch_size)
        self.max_new_tokens = int(max_new_tokens)
        self.task_dict: dict[str, Any] = getattr(self, "task_dict", {})

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """One text per request, in order; args: context, gen_kwargs, doc_to_visual, doc_id, task, split."""
        answers: list[str | None] = [None] * len(requests)
        groups: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            # Settings differ between tasks, and a model takes one setting per call.
            groups.setdefault(repr(sorted(request.args[1].items(), key=str)), []).append(i)
        bar = tqdm(total=len(requests), disable=None)
        for group in groups.values():
            for start in range(0, len(group), self.batch_size):
                chunk = group[start : start + self.batch_size]
                texts = self._generate([requests[i] for i in chunk])
                for i, text in zip(chunk, texts, strict=True):
                    answers[i] = text
                bar.update(len(chunk))
        bar.close()
        return [answer for answer in answers if answer is not None]

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Log-probability (nats) of each target after its context, and whether greedy decoding would write it.

        Args of a request: context, doc_to_target, doc_to_visual, doc_id, task, split.
        """
        return [self._score(request) for request in tqdm(requests, disable=None)]

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Not offered: the benchmarks of single questions do not ask for it."""
        raise UnsupportedModelError(
            "tasks of several rounds need a conversation, which this wrapper does not hold; choose single-round tasks"
        )

    def _doc(self, task: str, split: str, doc_id: Any) -> Any:
        return self.task_dict[task][split][doc_id]

    def _inputs(self, contexts: Sequence[str], images: Sequence[list[Any]], after: str = "") -> Any:
        texts = []
        for context, own in zip(contexts, images, strict=True):
            if len(own) != 1:
                raise InvalidInputError(f"need one image per question, got {len(own)}; choose single-image tasks")
            question = context.replace(_OWN_PLACEHOLDER, "").strip()
            texts.append(render_prompt(self.processor, question) + after)
        bos = getattr(self.processor.tokenizer, "bos_token", None)
        return self.processor(
            images=[own[0].convert("RGB") for own in images],
            text=texts,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=not (bos and texts[0].startswith(bos)),
        ).to(self.model.device, self.model.dtype)

    def _generate(self, requests: Sequence[Any]) -> list[str]:
        contexts, images = [], []
        for request in requests:
            context, _, doc_to_visual, doc_id, task, split = request.args
            contexts.append(context)
            images.append(doc_to_visual(self._doc(task, split, doc_id)))
        settings = dict(requests[0].args[1])
        options = {name: settings[name] for name in _GENERATION if settings.get(name) is not None}
        options.setdefault("max_new_tokens", self.max_new_tokens)
        options.setdefault("do_sample", bool(options.get("temperature")))
        if not options["do_sample"]:
            # Greedy decoding has no temperature; transformers warns about it.
            options.pop("temperature", None)
            options.pop("top_p", None)
        inputs = self._inputs(contexts, images)
        with torch.no_grad(), apply(self.model, self.plan):
            output = self.model.generate(**inputs, **options)
        texts = self.processor.tokenizer.batch_decode(
            output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        until = settings.get("until") or []
        stops = [until] if isinstance(until, str) else list(until)
        return [_cut(text.strip(), stops) for text in texts]

    def _score(self, request: Any) -> tuple[float, bool]:
        context, doc_to_target, doc_to_visual, doc_id, task, split = request.args
        doc = self._doc(task, split, doc_id)
        target = doc_to_target if isinstance(doc_to_target, str) else str(doc_to_target(doc))
        images = [doc_to_visual(doc)]
        before = self._inputs([context], images)["input_ids"]
        whole = self._inputs([context], images, after=f" {target.strip()}")
        ids = whole["input_ids"]
        start = before.shape[1]
        if ids.shape[1] <= start or not torch.equal(ids[:, :start], before):
            raise InvalidInputError(
                f"need a target that adds tokens to its prompt, {target!r} does not for this tokenizer; "
                "score the task by generated text"
            )
        with torch.no_grad(), apply(self.model, self.plan):
            logits = self.model(**whole).logits[0, start - 1 : -1]
        logs = logits.float().log_softmax(dim=-1)
        own = ids[0, start:]
        return float(logs.gather(1, own[:, None]).sum()), bool((logs.argmax(dim=-1) == own).all())


def _cut(text: str, stops: Sequence[str]) -> str:
    for stop in stops:
        if stop:
            text = text.split(stop)[0]
    return text


def model_manifest() -> Any:
    """What lmms-eval reads at its start, by the entry point of the group "lmms_eval.models"."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="skip_it", simple_class_path="extraction.harness.lmms.SkipIt")


@cache
def _harness_class() -> type:
    if find_spec("lmms_eval") is None:
        raise MissingExtraError("benchmarks by lmms-eval need it and torchvision: pip install lmms-eval torchvision")
    from lmms_eval.api.model import lmms

    # The harness's base sets an empty task_dict and fills it later; ours reads it at every request.
    return type("SkipIt", (SkippingResponder, lmms), {"__doc__": SkippingResponder.__doc__})


def __getattr__(name: str) -> Any:
    if name == "SkipIt":
        return _harness_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
