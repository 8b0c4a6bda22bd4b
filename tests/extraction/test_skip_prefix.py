"""Sweeps that take untouched layers from the unmodified run: the same outcomes to the last bit, with less work."""

import pytest
import torch

from extraction.skip import (
    Plan,
    apply,
    downsample_image,
    fastv,
    hide_vision,
    late_entry,
    random_keep,
    skip_attention,
    skip_layers,
    text_exit,
    vision_exit,
)
from extraction.skip.engine import prefix as prefix_module
from extraction.skip.engine.prefix import SharedPrefix
from extraction.study import sweep
from extraction.tiny import TINY_FAMILIES, tiny_batch, tiny_family, tiny_llava
from redundancy.errors import UnsupportedModelError

N = 4
PLANS = [Plan(), late_entry(2), vision_exit(0), vision_exit(1), vision_exit(3), fastv(2, 0.5), skip_layers(2, 3)]
CROSS_ATTENTION = {"mllama", "idefics"}  # the engine refuses them


def batches(model, n=3):
    return [{**tiny_batch(model, 3, [2, 5, 3], seed=b), "sample_ids": [f"{b}-{i}" for i in range(3)]} for b in range(n)]


def layers_run(model, **options):
    """Evaluations, and how often a decoder layer computed anything."""
    count = [0]

    def add(*_):
        count[0] += 1

    hooks = [layer.mlp.register_forward_hook(add) for layer in model.model.language_model.layers]
    try:
        return sweep(model, batches(model), PLANS, progress=False, **options), count[0]
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize(
    ("plan", "n"),
    [
        (Plan(), N),
        (vision_exit(3), 3),
        (vision_exit(N), N),
        (late_entry(1), 0),
        (text_exit(2), 2),
        (fastv(3, 0.5), 2),  # the attention of layer 2 is read
        (skip_layers(2) + skip_attention(1), 1),
        (hide_vision(3), 3),
        (random_keep(0.5), 0),
        (random_keep(1.0), N),
        (downsample_image(0.25), 0),
    ],
    ids=str,
)
def test_layers_before_the_first_change(plan, n):
    assert plan.n_untouched(N) == n


@pytest.mark.parametrize("name", [name for name in TINY_FAMILIES if name not in CROSS_ATTENTION])
def test_every_family_gives_the_same_bits(name):
    """Also where visual features are added between the layers, and where image features cannot be handed over."""
    family = tiny_family(name)
    batch = family.batch()
    given = [{**batch, "sample_ids": [f"{b}-{i}" for i in range(len(family.rows))]} for b in range(2)]
    plans = [plan for plan in PLANS if can_run(family.model, plan)]
    assert plans == list(PLANS) or name.startswith("gemma4")  # its later layers read the keys of earlier ones
    whole = sweep(family.model, given, plans, progress=False, share_layers=False, share_image_features=False)
    assert sweep(family.model, given, plans, progress=False) == whole
    assert any(e.plan_tokens != e.plain_tokens or max(e.kl) > 0 for e in whole)


def can_run(model, plan):
    try:
        with apply(model, plan):
            return True
    except UnsupportedModelError:
        return False


def test_work_is_saved():
    """No untouched layer runs, but those of the first plan of each depth in the first batch, which runs both ways."""
    model = tiny_llava(n_layers=N)
    whole, all_layers = layers_run(model, share_layers=False)
    shared, fewer = layers_run(model)
    assert shared == whole
    first = {plan.n_untouched(N): plan for plan in reversed(PLANS)}  # by whom a depth is tried in the first batch
    skipped = {plan: sum("layer" in plan.left_out(i) for i in range(N)) for plan in PLANS}
    tried = sum(N - depth - skipped[plan] for depth, plan in first.items() if depth > 0)
    untouched = sum(plan.n_untouched(N) for plan in PLANS)
    assert all_layers - fewer == 3 * untouched - sum(first) - tried


def test_a_layer_that_reads_another_is_not_trusted(monkeypatch):
    """Layer 3 adds what layer 0 computed by the side: a replay would add what the run before left there."""
    model = tiny_llava(n_layers=N)
    layers, seen = model.model.language_model.layers, {}

    def leave(_, __, output):
        seen["state"] = output

    def take(_, __, output):
        return output + seen.pop("state").mean() if "state" in seen else output

    hooks = [layers[0].mlp.register_forward_hook(leave), layers[3].mlp.register_forward_hook(take)]
    made = []
    monkeypatch.setattr(SharedPrefix, "__init__", _remembering(made))
    whole = sweep(model, batches(model), [vision_exit(2), vision_exit(3)], progress=False, share_layers=False)
    shared = sweep(model, batches(model), [vision_exit(2), vision_exit(3)], progress=False)
    for hook in hooks:
        hook.remove()
    assert shared == whole
    assert made[-1]._trusted == {2: False, 3: False}


def _remembering(made):
    original = SharedPrefix.__init__

    def init(self, *args):
        original(self, *args)
        made.append(self)

    return init


def test_little_memory_keeps_fewer_depths(monkeypatch):
    """Plans start at the next shallower depth that is kept, and the outcome is the same."""
    model = tiny_llava(n_layers=8)
    plans = [vision_exit(e) for e in range(1, 8)]
    whole = sweep(model, batches(model), plans, progress=False, share_layers=False)
    size = model(**tiny_batch(model, 3, [2, 5, 3]), output_hidden_states=True).hidden_states[0].nbytes
    monkeypatch.setattr(prefix_module, "_MOST_BYTES", 3 * size)
    made = []
    monkeypatch.setattr(SharedPrefix, "__init__", _remembering(made))
    assert sweep(model, batches(model), plans, progress=False) == whole
    assert sorted(made[-1]._kept) == [1, 4, 7]
    assert sum(t.nbytes for t in made[-1]._kept.values()) <= 3 * size


def test_model_is_restored():
    model = tiny_llava(n_layers=N)

    def traces():
        return [(len(m._forward_hooks), "forward" in vars(m)) for m in model.modules()]

    sweep(model, batches(model), PLANS, progress=False, share_layers=False)  # the library leaves a hook of its own
    before = traces()
    sweep(model, batches(model), PLANS, progress=False)
    assert traces() == before
    plan, batch = vision_exit(3), batches(model)[0]
    kept = SharedPrefix(model, [plan])
    inputs = {k: v for k, v in batch.items() if k != "sample_ids"}
    with torch.inference_mode(), kept.record():
        model(**inputs)

    def failing():
        raise RuntimeError("in the middle")

    kept._trusted[3] = True
    with pytest.raises(RuntimeError, match="in the middle"):
        kept.logits(plan, failing)
    assert traces() == before
