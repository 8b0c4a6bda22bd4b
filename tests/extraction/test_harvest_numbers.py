"""The harvest's numbers against fp64 numpy on dumped states and against eager attention."""

import numpy as np
import pytest
import torch

from extraction.harvesting.kernels.plain import pair_distances
from extraction.harvesting.stream import harvest
from extraction.tiny import BOS_ID, IMAGE_ID, tiny_batch, tiny_llava

RELATIVE = 5e-6  # fp32 distances against fp64 ones on the same states
ATTENTION = 1e-5  # fp32 softmax rows against eager attention


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def dump(model, batch):
    """States at depths 0..L in fp64, (L+1, B, S, d): transformers' own, the last taken before the final norm."""
    last = []
    handle = model.model.language_model.norm.register_forward_pre_hook(lambda m, args: last.append(args[0]))
    with torch.inference_mode():
        states = model(**batch, output_hidden_states=True).hidden_states
    handle.remove()
    return torch.stack([*states[:-1], last[0]]).double().numpy()


def members(batch):
    """Tokens of each group, by the definition of the groups."""
    ids, valid = batch["input_ids"].numpy(), batch["attention_mask"].numpy().astype(bool)
    vision, sink = valid & (ids == IMAGE_ID), valid & (ids == BOS_ID)
    words = valid & ~vision & ~sink
    return {"vision": vision, "sink": sink, "words": words, "text": words | sink, "all": valid}


def distance(x, y):
    cos = (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    return 1 - cos


@pytest.fixture(scope="module", params=["left", "right"])
def case(request):
    model = tiny_llava(n_layers=3)
    batch = tiny_batch(model, 3, [4, 7, 2], padding=request.param)
    return batch, harvest(model, [batch]), dump(model, batch)


@pytest.mark.parametrize("group", ["vision", "words", "sink", "text", "all"])
def test_distances_and_tails_equal_fp64_numpy(case, group):
    batch, stats, states = case
    inside = members(batch)[group]
    rho = distance(states[:-1], states[1:])  # (L, B, S)
    sums = np.where(inside, rho, 0).sum(-1).T
    np.testing.assert_array_equal(stats.token_counts(group), inside.sum(-1))
    np.testing.assert_allclose(stats.distance_sums(group), sums, rtol=RELATIVE)
    np.testing.assert_allclose(stats.mean_distance(group), rho[:, inside].mean(-1), rtol=RELATIVE)
    np.testing.assert_allclose(
        stats.image_mean_distance(group), (sums / inside.sum(-1)[:, None]).mean(0), rtol=RELATIVE
    )
    np.testing.assert_allclose(stats.max_distance(group), rho[:, inside].max(-1), rtol=RELATIVE)
    np.testing.assert_array_equal(stats.tail_counts(group), np.where(inside, rho > 0.05, False).sum(-1).T)
    np.testing.assert_array_equal(stats.tail_counts(group, strict=False), stats.tail_counts(group))
    for t in (0.05, 0.1, 0.25, 1.0):
        np.testing.assert_allclose(stats.fraction_below(group, t), (rho[:, inside] < t).mean(-1), rtol=1e-12)
    for q in (0.0, 0.5, 0.99, 1.0):
        exact = np.quantile(rho[:, inside], q, axis=-1, method="inverted_cdf")
        assert (stats.quantile(group, q) >= exact * (1 - RELATIVE)).all()
        assert (stats.quantile(group, q) <= exact * 1.13).all()


@pytest.mark.parametrize("group", ["vision", "words", "text"])
def test_depth_matrix_and_its_rows_equal_fp64_numpy(case, group):
    batch, stats, states = case
    inside = members(batch)[group]
    rho = distance(states[:, None], states[None])  # (D, D, B, S)
    np.testing.assert_allclose(stats.depth_matrix(group), rho[:, :, inside].mean(-1), rtol=RELATIVE, atol=1e-12)
    np.testing.assert_allclose(
        stats.entry_sums(group), np.where(inside, rho[0], 0).sum(-1).T, rtol=RELATIVE, atol=1e-12
    )
    np.testing.assert_allclose(
        stats.exit_sums(group), np.where(inside, rho[-1], 0).sum(-1).T, rtol=RELATIVE, atol=1e-12
    )


def test_norms_equal_fp64_numpy(case):
    batch, stats, states = case
    for group, inside in members(batch).items():
        norms = np.linalg.norm(states, axis=-1)[:, inside]
        np.testing.assert_allclose(stats.mean_norm(group), norms.mean(-1), rtol=RELATIVE)
        np.testing.assert_allclose(stats.norm_ratio(group), (norms[1:] / norms[:-1]).mean(-1), rtol=RELATIVE)
        assert stats.ratio_histogram(group).sum() == inside.sum() * 3


def test_centred_distance_equals_fp64_numpy(case):
    """Each token is centred on its base group's mean at its depth; a token equal to its mean has no direction."""
    batch, stats, states = case
    for group in ("vision", "words"):
        own = states[:, members(batch)[group]]
        centred = own - own.mean(1, keepdims=True)
        np.testing.assert_allclose(
            stats.centred_distance(group), distance(centred[:-1], centred[1:]).mean(-1), rtol=1e-4
        )
    assert np.isnan(stats.centred_distance("sink")).all()
    np.testing.assert_array_equal(stats.anomalies("sink")["constant"], 3)


def test_pairing_hf_reads_literal_hidden_states():
    """The last pair ends after the final norm, which a unit norm weight would hide."""
    model = tiny_llava(n_layers=3)
    batch = tiny_batch(model, 2, [3, 5])
    with torch.inference_mode():
        states = torch.stack(model(**batch, output_hidden_states=True).hidden_states).double().numpy()
    stats = harvest(model, [batch], pairing="hf")
    vision = members(batch)["vision"]
    rho = distance(states[:-1], states[1:])[:, vision].mean(-1)
    np.testing.assert_allclose(stats.mean_distance("vision"), rho, rtol=RELATIVE)
    np.testing.assert_allclose(
        stats.depth_matrix("vision")[0, 1:], distance(states[:1], states[1:])[:, vision].mean(-1), rtol=RELATIVE
    )
    assert abs(rho[-1] - harvest(model, [batch]).mean_distance("vision")[-1]) > 0.01


def eager_masses(model, batch):
    """Vision mass of every query by eager attention, (L, B, H, S), and the value norms, (L, B, H_kv, S)."""
    values = []
    handles = [
        layer.self_attn.v_proj.register_forward_hook(lambda m, a, out: values.append(out.double()))
        for layer in model.model.language_model.layers
    ]
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        shares = torch.stack(model(**batch, output_attentions=True).attentions).double().numpy()
    model.set_attn_implementation("sdpa")
    for handle in handles:
        handle.remove()
    head_dim = model.model.language_model.layers[0].self_attn.head_dim
    norms = torch.stack(values).unflatten(-1, (-1, head_dim)).norm(dim=-1).transpose(2, 3).numpy()
    return shares, norms


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("padding", ["left", "right"])
def test_var_equals_eager_attention(kv_heads, padding):
    model = tiny_llava(n_layers=2, kv_heads=kv_heads)
    batch = tiny_batch(model, 3, [4, 7, 2], padding=padding)
    stats = harvest(model, [batch])
    shares, norms = eager_masses(model, batch)
    group = members(batch)
    for row in range(3):
        valid = np.flatnonzero(group["all"][row])
        mass = shares[:, row][..., group["vision"][row]].sum(-1)  # (L, H, S)
        text = mass[..., group["text"][row]]
        np.testing.assert_allclose(stats.answer_var()[row], mass[..., valid[-1]], atol=ATTENTION)
        np.testing.assert_allclose(stats.text_var_mean()[row], text.mean(-1), atol=ATTENTION)
        np.testing.assert_allclose(stats.text_var_max()[row], text.max(-1), atol=ATTENTION)
        weighted = shares[:, row, :, valid[-1]] * np.repeat(norms[:, row], 4 // kv_heads, axis=1)
        expected = weighted[..., group["vision"][row]].sum(-1) / weighted.sum(-1)
        np.testing.assert_allclose(stats.answer_value_var()[row], expected, atol=ATTENTION)


def test_var_of_an_eager_model_is_the_same():
    batch = tiny_batch(tiny_llava(), 2, [3, 5])
    eager, sdpa = (harvest(tiny_llava(attn_implementation=name), [batch]) for name in ("eager", "sdpa"))
    np.testing.assert_allclose(eager.answer_var(), sdpa.answer_var(), atol=ATTENTION)
    np.testing.assert_allclose(eager.text_var_max(), sdpa.text_var_max(), atol=ATTENTION)


def test_var_over_all_tokens_is_the_number_of_heads():
    model = tiny_llava()
    batch = tiny_batch(model, 2, [3, 5])
    every = batch["attention_mask"].bool()
    stats = harvest(model, [{**batch, "vision_mask": every}], self_check=False)
    np.testing.assert_allclose(stats.answer_var().sum(-1), 4, atol=ATTENTION)
    assert np.isnan(stats.text_var_mean()).all()  # no text query is left


def test_uniform_attention_gives_the_share_of_image_tokens():
    model = tiny_llava()
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.q_proj.weight.zero_()
    stats = harvest(model, [tiny_batch(model, 2, [3, 6])])
    positions = np.array([1 + 9 + 3, 1 + 9 + 6])  # visible tokens: BOS, image, words
    expected = np.broadcast_to((9 / positions)[:, None, None], (2, 4, 4))
    np.testing.assert_allclose(stats.answer_var(), expected, atol=1e-6)


def test_var_without_vision_tokens_is_undefined():
    model = tiny_llava()
    words = torch.tensor([[BOS_ID, 7, 8, 9]])
    stats = harvest(model, [{"input_ids": words, "attention_mask": torch.ones_like(words)}])
    assert np.isnan(stats.answer_var()).all()
    assert np.isnan(stats.mean_distance("vision")).all()
    assert np.isfinite(stats.mean_distance("words")).all()


@pytest.mark.parametrize("width", [8, 257, 4096])
@pytest.mark.parametrize("spread", [3e-3, 3e-2, 0.5])
@pytest.mark.parametrize("growth", [1.0, 3.7, 10.0])
def test_pair_distances_keep_six_digits(width, spread, growth):
    rng = np.random.default_rng(width)
    x = rng.normal(size=(64, width)).astype(np.float32)
    y = (growth * (x + spread * rng.normal(size=x.shape))).astype(np.float32)
    rho, _, b = (t.numpy() for t in pair_distances(torch.from_numpy(x), torch.from_numpy(y)))
    x64, y64 = x.astype(np.longdouble), y.astype(np.longdouble)
    exact = distance(x64, y64).astype(np.float64)
    np.testing.assert_allclose(rho.mean(), exact.mean(), rtol=2e-6)
    np.testing.assert_allclose(rho, exact, rtol=1e-4)
    np.testing.assert_allclose(b, np.sqrt((y64**2).sum(-1)).astype(float), rtol=1e-6)


def test_pair_distances_in_half_types_do_not_overflow_or_cancel():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(300 * rng.normal(size=(32, 512))).half()
    y = x + (x.float() * 0.05 * torch.from_numpy(rng.normal(size=(32, 512)))).half()
    exact = distance(x.double().numpy(), y.double().numpy())
    np.testing.assert_allclose(pair_distances(x, y)[0].numpy(), exact, rtol=1e-5)


def test_pair_distances_never_exceed_two():
    """Opposite directions round to just above 2 without care, and a bound that trusts [0, 2] would break."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(4096, 37)).astype(np.float32))
    y = -x * torch.from_numpy(rng.uniform(0.1, 10, size=(4096, 1)).astype(np.float32))
    rho = pair_distances(x, y)[0]
    assert float(rho.max()) == 2.0
    assert float(rho.min()) > 2 - 1e-5
