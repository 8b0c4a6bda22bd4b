"""lm-eval on a skipping model: its `hf-multimodal` class, run inside `apply(model, plan)`."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any, TypedDict, Unpack

from extraction.skip import Plan, Router, apply
from redundancy.errors import InvalidInputError, MissingExtraError

__all__ = ["check_plan", "lm_eval_model"]


def check_plan(plan: Plan | None) -> Plan:
    """The plan, or the plain one for None.

    Raises
    ------
    InvalidInputError
        For `downsample_image`: a harness prepares the images itself, so the plan cannot.
    """
    plan = Plan() if plan is None else plan
    if plan.has_own_prompt:
        raise InvalidInputError(
            f"need a plan that acts inside the model, {plan} shrinks images, which the harness prepares; "
            "use the harness's own image size option, or `sweep`"
        )
    return plan


class HarnessOptions(TypedDict, total=False):
    """Arguments of lm-eval's `HFMultimodalLM` that make sense for a model in memory."""

    batch_size: int | str
    max_batch_size: int
    max_length: int
    max_images: int
    interleave: bool
    convert_img_format: bool
    image_token_id: int
    image_string: str
    image_width: int
    image_height: int
    image_max_side: int


def lm_eval_model(
    model: Any,
    processor: Any,
    plan: Plan | None = None,
    *,
    router: Router | None = None,
    **options: Unpack[HarnessOptions],
) -> Any:
    """Wrap a loaded model for `lm_eval.simple_evaluate(model=...)`, skipping by `plan`.

    Parameters
    ----------
    model : PreTrainedModel
        An image-text-to-text model; it is patched only while the harness asks it something.
    processor : ProcessorMixin
        Its processor.
    plan : Plan, optional
        What to leave out; the unmodified model by default.
    router : callable, optional
        As in `apply`.
    **options
        Arguments of lm-eval's `HFMultimodalLM`: ``batch_size``, ``convert_img_format`` and others of `HarnessOptions`.

    Returns
    -------
    lm_eval.api.model.LM

    Raises
    ------
    MissingExtraError
        Without lm-eval, or without accelerate, which its Hugging Face classes import.
    InvalidInputError
        If the plan does not fit the model, or shrinks images.

    Notes
    -----
    `hf-multimodal` of lm-eval 0.4.13 answers `generate_until` requests only, and says so for log-likelihoods. A
    single-token multiple choice is then ``max_gen_toks: 1`` with an exact match.
    """
    for module in ("lm_eval", "accelerate"):
        if find_spec(module) is None:
            raise MissingExtraError(f'benchmarks by lm-eval need {module}: pip install "skip-it[eval]"')
    plan = check_plan(plan)
    with apply(model, plan, router=router):
        pass  # what does not fit fails here, before a benchmark is loaded
    return _skipping_class()(model, own_processor=processor, plan=plan, router=router, **options)


@cache
def _skipping_class() -> Any:
    from lm_eval.models.hf_vlms import HFMultimodalLM

    class SkippingLM(HFMultimodalLM):  # type: ignore[misc]
        """`hf-multimodal` whose generation skips."""

        def __init__(self, pretrained: Any, *, own_processor: Any, plan: Plan, router: Any, **options: Any) -> None:
            self._own_processor = own_processor
            self._plan, self._router = plan, router
            super().__init__(pretrained, **options)

        def _create_tokenizer(self, *args: Any, **kwargs: Any) -> None:
            # The base class would load the processor again by the model's name, which a model in memory may not have.
            self.processor = self._own_processor
            self.tokenizer = self.processor.tokenizer

        def _model_multimodal_generate(self, *args: Any, **kwargs: Any) -> Any:
            with apply(self._model, self._plan, router=self._router):
                return super()._model_multimodal_generate(*args, **kwargs)

        def _model_generate(self, *args: Any, **kwargs: Any) -> Any:
            with apply(self._model, self._plan, router=self._router):
                return super()._model_generate(*args, **kwargs)

        def _model_call(self, *args: Any, **kwargs: Any) -> Any:
            with apply(self._model, self._plan, router=self._router):
                return super()._model_call(*args, **kwargs)

    return SkippingLM
