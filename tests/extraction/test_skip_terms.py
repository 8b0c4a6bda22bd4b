"""A term of another package goes through everything that a term of this one does; entry points bring it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from extraction.skip import (
    apply,
    downsample_image,
    flop_speedup,
    kv_share,
    late_entry,
    measure_memory,
    parse_plan,
    tokens_per_layer,
    vision_exit,
)
from extraction.skip.plan import Plan
from extraction.skip.terms import Cut, Term, registry
from extraction.study import choose_plan, sweep
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError

PACKAGE = Path(__file__).parents[1] / "example_package"
N = 4


@pytest.fixture(autouse=True)
def _installed(monkeypatch):
    monkeypatch.syspath_prepend(PACKAGE)
    registry.term_kinds.cache_clear()
    yield
    registry.term_kinds.cache_clear()
    sys.modules.pop("skip_it_example.norm_keep", None)


@pytest.fixture(scope="module")
def model():
    return tiny_llava(n_layers=N)


def test_text_and_joining():
    plan = parse_plan("norm_keep(0.5) + vision_exit(3)")
    assert str(plan) == "vision_exit(3) + norm_keep(0.5)"
    assert parse_plan(str(plan)) == plan
    with pytest.raises(InvalidInputError, match=r"agree on norm_keep to join them, got 0\.5 and 0\.25"):
        plan + parse_plan("norm_keep(0.25)")
    with pytest.raises(InvalidInputError, match=r"norm_keep\(0.5\), joined by \+, got 'norm_keep\(a\)'"):
        parse_plan("norm_keep(a)")
    with pytest.raises(InvalidInputError, match=r"share of norm_keep inside \[0, 1\], got 2"):
        parse_plan("norm_keep(2.0)")


@torch.no_grad()
def test_it_runs_as_the_short_prompt_would(model):
    """With the tokens chosen before layer 0, the decoder sees what it sees of fewer embeddings at their positions."""
    batch, plan = tiny_batch(model, 2, 5), parse_plan("norm_keep(0.5)")
    with apply(model, plan) as skipping:
        logits = model(**batch).logits
    n_vision = int((batch["input_ids"][0] == model.config.image_token_id).sum())
    n_text = batch["input_ids"].shape[1] - n_vision
    assert skipping.tokens_computed == tokens_per_layer(plan, N, n_vision, n_text)
    embedded = model.get_input_embeddings()(batch["input_ids"])
    vision = batch["input_ids"] == model.config.image_token_id
    features = torch.cat(list(model.get_image_features(batch["pixel_values"]).pooler_output))
    embedded = embedded.masked_scatter(vision[..., None], features)
    for row in range(2):
        norms = embedded[row].norm(dim=-1).masked_fill(~vision[row], -1)
        stays = ~vision[row]
        stays[norms.topk(n_vision - n_vision // 2).indices] = True
        short = model.model.language_model(
            inputs_embeds=embedded[row : row + 1, stays],
            position_ids=stays.nonzero().T,
            attention_mask=torch.ones(1, int(stays.sum()), dtype=torch.long),
            use_cache=False,
        ).last_hidden_state
        assert torch.allclose(model.lm_head(short)[0, -1], logits[row, -1], rtol=0, atol=1e-5)


@torch.no_grad()
def test_generation_cost_memory_validation_and_choice(model):
    batch, plan = tiny_batch(model, 2, 5), parse_plan("norm_keep(0.25) + late_entry(1)")
    options = {"max_new_tokens": 5, "do_sample": False, "suppress_tokens": [0, 2, model.config.image_token_id]}
    with apply(model, plan):
        cached, whole = (model.generate(**batch, use_cache=use, **options) for use in (True, False))
    assert torch.equal(cached, whole)
    assert flop_speedup(model.config, plan, 9, 6) > flop_speedup(model.config, late_entry(1), 9, 6) > 1
    assert kv_share(model.config, plan, 8, 6) == (6 + 3 * 8) / (4 * 14)
    (use,) = measure_memory(model, batch, [plan], progress=False)
    assert use.kv_bytes == use.predicted_kv_bytes < use.plain_kv_bytes
    batch |= {"sample_ids": ["a", "b"], "answers": [5, 6]}
    evaluations = sweep(model, [batch], [plan, vision_exit(2)], progress=False)
    assert [e.plan for e in evaluations] == [plan, vision_exit(2)]
    ids = [str(i) for i in range(100)]
    choice = choose_plan([plan, vision_exit(2)], [[0] * 100, [1] * 100], costs=[0.5, 0.4], sample_ids=ids, risk=0.05)
    assert choice.chosen == plan
    again = type(choice).from_json(choice.to_json())
    assert again.chosen == plan
    assert again.recheck().ok


def test_a_bound_and_a_family_of_the_package_are_known_to_all():
    """In a process of their own, since bounds register themselves once for all."""
    code = """
from redundancy import BoundCertificate
from redundancy.certificates.registry import RECORDS, bound_function, register_all
from extraction.models.adapters import adapt
from extraction.tiny import tiny_llava
register_all()
upper = bound_function("chord_bound.chord_upper")
certificate = upper(cosine_distance=0.25)
again = BoundCertificate.from_json(certificate.to_json())
assert again.recheck().ok and certificate.interval.upper >= 0.5, certificate
assert RECORDS["chord_bound.chord_upper"].status == "added"
model = tiny_llava(n_layers=2)
model.config.model_type = "skip_it_example"
record = adapt(model)
assert record.family == "example" and record.n_layers == 2 and record.vision_ids == (7,), record
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_entry_point_must_bring_a_term_of_its_name(tmp_path, monkeypatch):
    for name, value, words in (
        ("wrong", "skip_it_example.norm_keep:NormKeep", "need a Term named 'wrong'"),
        ("fastv", "extraction.skip.terms.fastv:fastv", "need a Term named 'fastv'"),
    ):
        folder = tmp_path / name / f"{name}-1.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (folder / "entry_points.txt").write_text(f"[skip_it.terms]\n{name} = {value}\n")
        with monkeypatch.context() as only:
            only.syspath_prepend(tmp_path / name)
            registry.term_kinds.cache_clear()
            with pytest.raises(InvalidInputError, match=words):
                parse_plan("late_entry(1)")
        registry.term_kinds.cache_clear()


class Freeze(Term):
    """Vision tokens pass through layers 1 and 2 unchanged, while their keys stay readable."""

    name = "freeze"

    def cut(self, layer, n_layers):
        return Frozen() if layer in (1, 2) else None


class Frozen(Cut):
    is_frozen = True

    def present(self, chunk):
        return ~chunk.vision


@torch.no_grad()
def test_frozen_tokens_keep_their_states_and_are_read(model):
    batch = tiny_batch(model, 2, [3, 5], padding="left")
    vision = (batch["input_ids"] == model.config.image_token_id)[..., None]
    plan = Plan((Freeze(),))
    with apply(model, plan):
        logits = model(**batch).logits
    layers, undo = model.model.language_model.layers, []
    for i in (1, 2):
        undo.append(layers[i].register_forward_hook(lambda _, args, out: torch.where(vision, args[0], out)))
    expected = model(**batch).logits
    for hook in undo:
        hook.remove()
    assert torch.equal(logits, expected)
    assert not torch.equal(logits, model(**batch).logits)
    assert plan.count(1, N, 9, 6) == 15  # all are computed, so nothing is foretold to be saved


def test_a_plan_with_own_images_is_known_by_its_share():
    plan = downsample_image(0.25) + late_entry(1)
    assert plan.has_own_prompt
    assert plan.without(type(plan.terms[-1])) == late_entry(1)
    assert not plan.is_identity(4)
