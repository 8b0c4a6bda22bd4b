"""Down-sampled images: fewer tokens, the same model, paired with the unmodified one sample by sample."""

from statistics import median

import pytest
import torch

from extraction import default_model
from extraction.data import as_sample, make_batch
from extraction.skip import (
    Plan,
    apply,
    downsample_image,
    flop_speedup,
    late_entry,
    measure_prefill,
    plan_batch,
    random_keep,
)
from extraction.study import sweep
from redundancy.errors import InvalidInputError, UnsupportedModelError


@pytest.fixture(scope="module")
def parts():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    samples = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(24))]
    with torch.no_grad():
        yield default_model.load_model(), default_model.load_processor(), samples
    torch.set_num_threads(before)


def without_labels(batch):
    return {key: value for key, value in batch.items() if key != "special_mask"}


def n_vision(model, batch):
    return int((batch["input_ids"][0] == model.config.image_token_id).sum())


@pytest.mark.parametrize(("share", "side"), [(0.25, 6), (0.5, 8), (0.01, 1), (1.0, 12)])
def test_a_share_of_the_tokens_comes_as_a_square_grid(parts, share, side):
    model, processor, samples = parts
    batch = plan_batch(processor, samples[:2], downsample_image(share))
    assert n_vision(model, batch) == side**2 == downsample_image(share).n_given(144)
    assert batch["pixel_values"].shape[-2:] == (8 * side, 8 * side)
    assert processor.image_processor.size["shortest_edge"] == 96  # the user's processor is as it was


def test_logits_equal_the_parts_run_by_hand(parts):
    model, processor, samples = parts
    batch = without_labels(plan_batch(processor, samples[:3], downsample_image(0.25)))
    batch.pop("sample_ids")
    tower = model.model.vision_tower(batch["pixel_values"], interpolate_pos_encoding=True)
    features = model.model.multi_modal_projector(tower.last_hidden_state[:, 1:])
    states = model.get_input_embeddings()(batch["input_ids"])
    vision = batch["input_ids"] == model.config.image_token_id
    states = states.masked_scatter(vision[..., None], features)
    hidden = model.model.language_model(inputs_embeds=states, attention_mask=batch["attention_mask"]).last_hidden_state
    with apply(model, downsample_image(0.25)):
        got = model(**batch).logits
    torch.testing.assert_close(got, model.lm_head(hidden), rtol=0, atol=1e-4)  # logits reach 16
    with pytest.raises(ValueError, match="doesn't match model"):  # restored
        model(**batch)


def test_sweep_pairs_the_small_prompt_with_the_large_one(parts):
    model, processor, samples = parts
    joined_plan = downsample_image(0.5) + late_entry(1)
    plans = [Plan(), downsample_image(0.25), downsample_image(1.0), random_keep(0.25), joined_plan]
    chunks = (samples[:12], samples[12:])
    batches = [lambda plan, part=part: without_labels(plan_batch(processor, part, plan)) for part in chunks]
    plain, small, full, thinned, joined = sweep(model, batches, plans, progress=False)
    assert small.sample_ids == plain.sample_ids
    assert full.plan_tokens == plain.plan_tokens
    assert max(full.kl) == 0.0
    for row in (small, thinned, joined):
        assert min(row.kl) > 0.0
    whole = without_labels(make_batch(processor, samples))
    assert list(plain.sample_ids) == whole.pop("sample_ids")
    assert list(plain.plain_tokens) == model(**whole).logits[:, -1].argmax(-1).tolist()


def test_the_smaller_prompt_is_timed_and_counted(parts):
    model, processor, samples = parts
    plan = downsample_image(0.25)
    (timing,) = measure_prefill(
        model, lambda p: without_labels(plan_batch(processor, samples[:8], p)), [plan], rounds=6, progress=False
    )
    assert timing.n_rounds == 6
    assert median(timing.vision) < median(timing.plain_vision)  # a quarter of the patches in the tower too
    assert flop_speedup(model.config, plan, 144, 12) == flop_speedup(model.config, random_keep(0.25), 144, 12) > 2


def test_a_plan_with_a_prompt_of_its_own_needs_a_batch_of_its_own(parts):
    model, processor, samples = parts
    batch = without_labels(make_batch(processor, samples[:2]))
    with pytest.raises(InvalidInputError, match=r"downsample_image\(0.25\) needs a prompt of its own"):
        sweep(model, [batch], [downsample_image(0.25)], progress=False)
    with pytest.raises(InvalidInputError, match="need a share of downsample_image above 0"):
        downsample_image(0.0)
    other = without_labels(make_batch(processor, samples[2:4]))
    with pytest.raises(InvalidInputError, match="same samples in the same order"):
        sweep(model, [lambda plan: other if plan.has_own_prompt else batch], [downsample_image(0.25)], progress=False)


class EnlargingProcessor:
    """Makes one size of every image by a rule of its own, as some families do."""

    def __init__(self, inner):
        self.inner, self.tokenizer, self.chat_template = inner, inner.tokenizer, inner.chat_template
        self.image_processor = type("Images", (), {"size": {"longest_edge": 96}, "do_center_crop": False})()

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def __call__(self, **kwargs):
        return self.inner(**kwargs)


def test_a_processor_that_makes_as_many_tokens_anyway_is_refused(parts):
    model, processor, samples = parts
    with pytest.raises(UnsupportedModelError, match="makes 144 of 144; use random_keep"):
        plan_batch(
            EnlargingProcessor(processor),
            samples[:2],
            downsample_image(0.25),
            vision_ids=(model.config.image_token_id,),
        )
