"""What must not change a harvest, and what a harvest must not change."""

import numpy as np
import pytest
import torch
from transformers import AttentionInterface

from extraction.harvesting.accumulate import BatchAccumulator
from extraction.harvesting.attention import attention_mass
from extraction.harvesting.harvester import Harvester
from extraction.harvesting.stream import harvest
from extraction.harvesting.tokens import token_groups
from extraction.models.adapters import adapt, generic_adapter
from extraction.tiny import IMAGE_ID, tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError, UnsupportedModelError
from redundancy.statistics.harvest_statistics import StatisticsSpec

INVARIANT = 1e-6  # fp32: other shapes of a batch order the sums of the matrix products differently
METHODS = ["distance_sums", "entry_sums", "exit_sums"]
MASSES = ["answer_var", "answer_value_var", "text_var_mean", "text_var_max"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model():
    return tiny_llava()


def layers_of(model):
    return model.model.language_model.layers


def hooks(model):
    """Every hook of the model; transformers' own, which record outputs, stay once they are there."""
    return [id(h) for m in model.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]


def rows(batch, index, sample_ids):
    return {**{name: tensor[index] for name, tensor in batch.items()}, "sample_ids": [sample_ids[i] for i in index]}


def assert_same(a, b, rtol=INVARIANT):
    assert a.sample_ids == b.sample_ids
    for group in ("vision", "words", "sink", "text"):
        np.testing.assert_array_equal(a.token_counts(group), b.token_counts(group))
        for method in METHODS:
            np.testing.assert_allclose(getattr(a, method)(group), getattr(b, method)(group), rtol=rtol, atol=1e-6)
        for method in ("depth_matrix", "mean_norm", "norm_ratio", "max_distance", "centred_distance"):
            np.testing.assert_allclose(getattr(a, method)(group), getattr(b, method)(group), rtol=10 * rtol, atol=1e-6)
    for method in MASSES:
        np.testing.assert_allclose(getattr(a, method)(), getattr(b, method)(), atol=1e-6)


def test_padding_side_and_no_padding_agree(model):
    lengths, ids = [4, 7, 2], ["a", "b", "c"]
    left, right = (
        harvest(model, [{**tiny_batch(model, 3, lengths, padding=side), "sample_ids": ids}], shift=None)
        for side in ("left", "right")
    )
    full = {**tiny_batch(model, 3, lengths, padding="right")}
    alone = [
        {**{k: v[i : i + 1, : 10 + n] if v.dim() == 2 else v[i : i + 1] for k, v in full.items()}, "sample_ids": [name]}
        for i, (n, name) in enumerate(zip(lengths, ids, strict=True))
    ]
    assert all(batch["attention_mask"].all() for batch in alone)
    single = harvest(model, alone, shift=None)
    for other in (right, single):
        for group in ("vision", "words", "sink"):
            for method in METHODS:
                np.testing.assert_allclose(
                    getattr(left, method)(group), getattr(other, method)(group), rtol=INVARIANT, atol=1e-6
                )
        for method in MASSES:
            np.testing.assert_allclose(getattr(left, method)(), getattr(other, method)(), atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_batch_size_and_order_do_not_matter(model, size):
    batch = tiny_batch(model, 6, [4, 7, 2, 3, 3, 5])
    names = [f"s{i}" for i in range(6)]
    whole = harvest(model, [rows(batch, list(range(6)), names)])
    order = [4, 1, 0, 5, 3, 2]
    parts = [rows(batch, order[i : i + size], names) for i in range(0, 6, size)]
    assert_same(harvest(model, parts, shift=whole.shift), whole)


def test_merge_equals_one_run(model):
    batch = tiny_batch(model, 6, [4, 7, 2, 3, 3, 5])
    names = [f"s{i}" for i in range(6)]
    batches = [rows(batch, index, names) for index in ([0, 3], [5, 1], [2, 4])]
    whole = harvest(model, batches)
    parts = [harvest(model, [b], shift=whole.shift) for b in batches]
    for merged in (parts[0].merge(parts[1]).merge(parts[2]), parts[2].merge(parts[0].merge(parts[1]))):
        assert merged.spec == whole.spec
        for name, array in whole.arrays().items():
            if array.dtype == np.int64:
                np.testing.assert_array_equal(merged.arrays()[name], array)
            else:
                np.testing.assert_allclose(merged.arrays()[name], array, rtol=1e-12)


def test_other_shifts_do_not_merge(model):
    first, second = (
        harvest(model, [{**tiny_batch(model, 2, seed=s), "sample_ids": [f"{s}a", f"{s}b"]}]) for s in (0, 1)
    )
    with pytest.raises(InvalidInputError, match="shift_digest"):
        first.merge(second)


def test_logits_are_bit_identical_and_everything_is_restored(model):
    batch = tiny_batch(model, 3, [4, 7, 2])
    sdpa = AttentionInterface()["sdpa"]
    with torch.inference_mode():
        plain = model(**batch, output_hidden_states=True).logits
    seen, before = [], hooks(model)
    harvest(model, [batch, {**batch, "sample_ids": ["a", "b", "c"]}], on_batch=lambda b, out: seen.append(out.logits))
    assert all(torch.equal(logits, plain) for logits in seen)
    assert len(seen) == 2
    assert AttentionInterface()["sdpa"] is sdpa
    assert model.config._attn_implementation == "sdpa"
    assert hooks(model) == before


@pytest.mark.parametrize("pairing", ["io", "hf"])
def test_everything_is_restored_after_an_exception(pairing):
    model = tiny_llava()
    batch = tiny_batch(model, 2)
    with torch.inference_mode():
        plain = model(**batch).logits
    sdpa, before = AttentionInterface()["sdpa"], hooks(model)
    bomb = layers_of(model)[2].register_forward_pre_hook(lambda m, args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        harvest(model, [batch], self_check=False, shift=None, pairing=pairing)
    bomb.remove()
    assert AttentionInterface()["sdpa"] is sdpa
    assert hooks(model) == before
    with torch.inference_mode():
        assert torch.equal(model(**batch).logits, plain)


def test_attention_of_other_models_is_not_counted(model):
    """The vision tower and any other model share the registry; only the harvested layers are looked at."""
    other = tiny_llava(seed=1)
    batch = tiny_batch(model, 2)
    expected = harvest(model, [batch])
    handle = layers_of(model)[1].register_forward_hook(lambda *_: other(**batch) and None)
    disturbed = harvest(model, [batch], self_check=False)
    handle.remove()
    np.testing.assert_array_equal(disturbed.answer_var(), expected.answer_var())


def with_layer(effect):
    """A model whose second layer returns ``effect(input)``."""
    model = tiny_llava()
    layers_of(model)[1].register_forward_hook(lambda m, args, out: effect(args[0]))
    return harvest(model, [tiny_batch(model, 2)], self_check=False)


def test_identity_layer_has_distance_exactly_zero():
    stats = with_layer(lambda x: x)
    assert (stats.distance_sums("all")[:, 1] == 0).all()
    assert stats.histogram("all")[1, 0] == stats.token_counts("all").sum()  # the exact-zero bin
    assert (stats.fraction_below("all")[1], stats.max_distance("all")[1]) == (1, 0)
    assert stats.norm_ratio("vision")[1] == 1


def test_opposite_states_have_distance_two():
    stats = with_layer(torch.neg)
    np.testing.assert_allclose(stats.mean_distance("vision")[1], 2, rtol=1e-6)
    assert (stats.max_distance("all")[1] <= 2) & (stats.fraction_below("all", 1.0)[1] == 0)


@pytest.mark.parametrize("factor", [0.37, 5.0])
def test_scaled_states_have_distance_zero_and_the_factor_as_norm_ratio(factor):
    stats = with_layer(lambda x: factor * x)
    assert stats.max_distance("all")[1] < 1e-12
    np.testing.assert_allclose(stats.norm_ratio("words")[1], factor, rtol=1e-6)
    np.testing.assert_allclose(stats.mean_norm("sink")[2], factor * stats.mean_norm("sink")[1], rtol=1e-6)


def test_zero_vectors_are_counted_and_given_a_distance():
    """One zero vector: distance 1; two: distance 0."""

    def blank(x):
        return torch.cat([x[:, :-1], torch.zeros_like(x[:, -1:])], dim=1)

    model = tiny_llava()
    for i in (1, 2):
        layers_of(model)[i].register_forward_hook(lambda m, args, out: blank(out))
    stats = harvest(model, [tiny_batch(model, 2)], self_check=False)
    found = stats.anomalies("words")
    np.testing.assert_array_equal(found["one_zero_pairs"], [0, 2, 0, 2])
    np.testing.assert_array_equal(found["both_zero_pairs"], [0, 0, 2, 0])
    np.testing.assert_array_equal(found["zero_states"], [0, 0, 2, 2, 0])
    np.testing.assert_array_equal(stats.anomalies("vision")["one_zero_pairs"], 0)
    assert stats.max_distance("words")[1] == 1
    stats.validate()


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 3e38])
def test_nonfinite_vectors_are_counted_and_left_out(value):
    """NaN, infinity, and a vector whose square overflows have no distance; every other token keeps its own."""

    def spoil(m, args, out):
        out = out.clone()
        out[0, -1, 0] = value
        return out

    model, batch = tiny_llava(n_layers=1), tiny_batch(tiny_llava(n_layers=1), 2, [5, 5])
    clean = harvest(model, [batch], shift=None)
    layers_of(model)[0].register_forward_hook(spoil)
    stats = harvest(model, [batch], self_check=False, shift=None)
    assert stats.anomalies("words")["excluded_pairs"].tolist() == [1]
    assert stats.anomalies("words")["nonfinite_states"].tolist() == [0, 1]
    np.testing.assert_array_equal(stats.pair_counts("words"), [[4], [5]])
    np.testing.assert_array_equal(stats.token_counts("words"), [5, 5])
    np.testing.assert_array_equal(stats.distance_sums("words")[1], clean.distance_sums("words")[1])
    np.testing.assert_array_equal(stats.distance_sums("vision"), clean.distance_sums("vision"))
    assert np.isfinite(stats.depth_matrix("words")).all()
    assert stats.entry_counts("words").tolist() == [[5, 4], [5, 5]]
    stats.validate()


def test_common_mean_is_seen_through_by_the_centred_distance():
    """A large common vector makes the plain distance vanish; the centred one stays."""
    mix = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0))).Q

    def lifted(lift):
        model = tiny_llava(n_layers=2)
        first, second = layers_of(model)
        first.register_forward_hook(lambda m, args, out: args[0] + lift)
        second.register_forward_hook(lambda m, args, out: (args[0] - lift) @ mix + lift)
        stats = harvest(model, [tiny_batch(model, 3)], self_check=False)
        return stats.mean_distance("vision")[1], stats.centred_distance("vision")[1]

    (plain, centred), (plain_lifted, centred_lifted) = lifted(0.0), lifted(100.0)
    assert plain_lifted < 0.01 < plain
    assert centred_lifted == pytest.approx(centred, rel=1e-3)


def test_groups_are_exclusive_and_special_ids_are_apart(model):
    batch = tiny_batch(model, 2, [3, 5])
    batch["input_ids"][:, -1] = 2  # EOS
    stats = harvest(model, [batch])
    counts = {g: stats.token_counts(g).tolist() for g in stats.group_names}
    assert counts["sink"] == counts["special"] == [1, 1]
    assert (counts["vision"], counts["words"], counts["text"]) == ([9, 9], [2, 4], [4, 6])
    assert counts["all"] == batch["attention_mask"].sum(1).tolist()


def test_answer_position_can_be_given(model):
    batch = tiny_batch(model, 2, [5, 5])
    last = harvest(model, [batch])
    same = harvest(model, [{**batch, "answer_positions": torch.tensor([14, 14])}])
    earlier = harvest(model, [{**batch, "answer_positions": torch.tensor([13, 13])}])
    np.testing.assert_array_equal(same.answer_var(), last.answer_var())
    assert np.abs(earlier.answer_var() - last.answer_var()).max() > 1e-3
    assert (last.spec.answer_position, earlier.spec.answer_position) == ("last_prompt", "given")


@pytest.mark.parametrize("padding", ["left", "right"])
def test_generated_answer_is_the_query_and_in_no_group(model, padding):
    batch = tiny_batch(model, 3, [5, 2, 4], padding=padding)
    plain, seen = harvest(model, [batch]), []
    stats = harvest(model, [batch], answer="generated", on_batch=lambda b, out: seen.append(b))
    assert stats.spec.answer_position == "generated"
    for group in ("vision", "words", "sink"):
        np.testing.assert_array_equal(stats.token_counts(group), plain.token_counts(group))
        np.testing.assert_allclose(stats.distance_sums(group), plain.distance_sums(group), rtol=1e-5)
    np.testing.assert_allclose(stats.text_var_mean(), plain.text_var_mean(), atol=1e-6)
    for row in range(3):  # each row alone, the token appended by hand
        keep = batch["attention_mask"][row].bool()
        ids, pixels = batch["input_ids"][row : row + 1, keep], batch["pixel_values"][row : row + 1]
        with torch.inference_mode():
            token = model(input_ids=ids, pixel_values=pixels).logits[:, -1].argmax(-1)
        alone = {"input_ids": torch.cat([ids, token[None]], dim=1), "pixel_values": pixels}
        expected = harvest(model, [alone]).answer_var()[0]
        np.testing.assert_allclose(stats.answer_var()[row], expected, atol=1e-5)
        assert seen[0]["input_ids"][row][seen[0]["ignored_mask"][row]].tolist() == token.tolist()
    with pytest.raises(UnsupportedModelError, match="token_type_ids"):
        harvest(
            model, [{**batch, "token_type_ids": batch["input_ids"]}], answer="generated", self_check=False, shift=None
        )


def test_a_token_exactly_at_a_threshold(model):
    """It is not below t and not above t, in the histogram and in the tails alike."""
    batch = tiny_batch(model, 2)
    t = float(harvest(model, [batch]).max_distance("vision")[0])
    stats = harvest(model, [batch], thresholds=(0.05, t))
    stats.validate()
    assert stats.tail_counts("vision", t, strict=True)[:, 0].sum() == 0
    assert stats.tail_counts("vision", t, strict=False)[:, 0].sum() == 1
    assert stats.fraction_below("vision", t)[0] == 17 / 18


def test_parts_that_were_left_out_are_refused_not_zero(model):
    stats = harvest(model, [tiny_batch(model, 2)], matrix=False, attention=False, shift=None)
    assert np.isfinite(stats.mean_distance("vision")).all()
    for read in (
        lambda: stats.depth_matrix("vision"),
        lambda: stats.entry_sums("vision"),
        stats.answer_var,
        lambda: stats.centred_distance("vision"),
    ):
        with pytest.raises(InvalidInputError, match="need a harvest"):
            read()


def test_adapter_is_found_and_checked_on_the_first_batch(model):
    record, guessed = adapt(model), generic_adapter(model)
    assert record.layers == guessed.layers == tuple(layers_of(model))
    assert record.vision_ids == guessed.vision_ids
    batch = tiny_batch(model, 2)
    with pytest.raises(UnsupportedModelError, match="hidden states"):
        harvest(model, [batch], layers_path="model.vision_tower.encoder.layers")
    with pytest.raises(UnsupportedModelError, match="path"):
        harvest(model, [batch], layers_path="model.nowhere")
    with pytest.raises(UnsupportedModelError, match="vision tokens"):
        harvest(model, [batch], vision_ids=(59,))
    layers_of(tricked := tiny_llava())[1].register_forward_pre_hook(lambda m, args: (args[0] + 1, *args[1:]))
    with pytest.raises(UnsupportedModelError, match=r"depths \[1\]"):
        harvest(tricked, [batch])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": []}, "at least one sample"),
        ({"data": [{"image": 1, "question": "q"}]}, "processor"),
        ({"pairing": "both"}, "pairing"),
        ({"answer": "first"}, "answer position"),
        ({"shift": "mean"}, "shift"),
        ({"shift": np.zeros((4, 2, 32))}, "shift of shape"),
        ({"thresholds": (2.5,)}, "edges"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_wrong_arguments_are_refused(model, change, message):
    arguments = {"data": [tiny_batch(model, 2)], **change}
    with pytest.raises(InvalidInputError, match=message):
        harvest(model, **arguments)


def test_wrong_batches_are_refused(model):
    batch = tiny_batch(model, 2)
    twice = {**batch, "sample_ids": ["a", "a"]}
    for wrong, message in (
        (twice, "unique"),
        ({**batch, "sample_ids": ["a"]}, "sample id per row"),
        ({**batch, "attention_mask": torch.zeros_like(batch["attention_mask"])}, "valid token"),
        ({**batch, "attention_mask": torch.ones(2, 3)}, "attention_mask of the shape"),
        ({**batch, "answer_positions": torch.tensor([0, 14])}, "answer positions"),
    ):
        wrong = dict(wrong)
        if message == "answer positions":
            wrong["attention_mask"][0, 0] = 0
        with pytest.raises(InvalidInputError, match=message):
            harvest(model, [wrong], self_check=False)
    mixed = [{**batch, "answer_positions": torch.tensor([14, 14])}, {**batch, "sample_ids": ["a", "b"]}]
    with pytest.raises(InvalidInputError, match="in all batches or in none"):
        harvest(model, mixed)
    spec = StatisticsSpec(model="m", model_type="llava", n_layers=4, n_heads=4)
    with pytest.raises(InvalidInputError, match="eval"):
        Harvester(tiny_llava().train(), adapt(model), spec)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_accumulating_never_waits_for_the_device(dtype):
    """CUDA itself raises at any wait in what the hooks do."""
    batch = {name: tensor.cuda() for name, tensor in tiny_batch(tiny_llava(), 2, [3, 5]).items()}
    tokens = token_groups(batch["input_ids"], batch["attention_mask"], vision_ids=(IMAGE_ID,))
    spec = StatisticsSpec(model="m", model_type="llava", n_layers=1, n_heads=4)
    shift = torch.zeros(4, 2, 32, device="cuda")
    x, y = torch.randn(2, 2, 15, 32, device="cuda", dtype=dtype)
    query, key = torch.randn(2, 2, 4, 15, 8, device="cuda", dtype=dtype)
    for mode in ("default", "error"):  # the first round loads the kernels
        accumulator = BatchAccumulator(spec, tokens, shift)
        torch.cuda.set_sync_debug_mode(mode)
        try:
            accumulator.pair(1, x, y)
            attention_mass(query, key[:, :2], None, tokens.text_index, tokens.vision[:, None, :, None])
        finally:
            torch.cuda.set_sync_debug_mode("default")
    accumulator.finish(["a", "b"]).validate()
