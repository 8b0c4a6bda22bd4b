"""FastV, hidden vision keys and routers against oracles that remove nothing and read eager attention."""

import itertools

import pytest
import torch

from extraction.skip import (
    LayerInput,
    Plan,
    StillVisionExit,
    apply,
    fastv,
    flop_speedup,
    hide_vision,
    kv_share,
    late_entry,
    random_keep,
    vision_exit,
)
from extraction.skip.terms import FastV
from extraction.tiny import IMAGE_ID, tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError, UnsupportedModelError
from support.skip_oracle import batches, oracle_logits, ragged_batch, valid_logits, window

N = 5
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def model(request):
    return tiny_llava(n_layers=N, attn_implementation=request.param)


@pytest.fixture(scope="module")
def eager():
    return tiny_llava(n_layers=N, attn_implementation="eager")


def last_columns(batch):
    columns = torch.arange(batch["input_ids"].shape[1])
    return torch.where(batch["attention_mask"].bool(), columns, 0).amax(1)


def least_attended(eager, batch, layer, share, present):
    """Vision tokens with the least eager attention of the last prompt token in `layer`, as FastV's paper defines it."""
    weights = []
    hook = eager.model.language_model.layers[layer].self_attn.register_forward_hook(
        lambda module, args, output: weights.append(output[1])
    )
    oracle_logits(eager, batch, present)
    hook.remove()
    rows = weights[0].mean(dim=1)[torch.arange(len(weights[0])), last_columns(batch)]
    out = torch.zeros_like(batch["input_ids"], dtype=torch.bool)
    vision = batch["input_ids"] == IMAGE_ID
    for b in range(len(rows)):
        candidates = (vision & present(layer, vision))[b].nonzero()[:, 0]
        order = rows[b, candidates].argsort(stable=True)
        out[b, candidates[order[: int(share * len(candidates) + 0.5)]]] = True
    return out


def pruned(out, layer, present):
    return lambda i, vision: present(i, vision) & ~out if i >= layer else present(i, vision)


@pytest.mark.parametrize(
    ("plan", "present"),
    [
        (fastv(1, 0.5), window(0, N)),
        (fastv(3, 0.7), window(0, N)),
        (late_entry(1) + fastv(2, 0.4) + vision_exit(4), window(1, 4)),
    ],
    ids=["first", "third", "between entry and exit"],
)
def test_fastv_equals_pruning_by_eager_attention(model, eager, plan, present):
    term = plan.term(FastV)
    layer, share = term.layer, term.drop
    for name, batch in batches(model):
        out = least_attended(eager, batch, layer - 1, share, present)
        assert out.any()
        expected = oracle_logits(model, batch, pruned(out, layer, present))
        with apply(model, plan) as skipping:
            for use_cache in (False, True):
                got = model(**batch, use_cache=use_cache).logits
                torch.testing.assert_close(
                    valid_logits(got, batch), valid_logits(expected, batch), **CLOSE, msg=lambda m, n=name: f"{n}: {m}"
                )
        if name == "even":  # elsewhere the row without an image sets the width
            assert skipping.tokens_computed[layer] < skipping.tokens_computed[layer - 1]


def test_fastv_after_a_random_draw_ranks_only_what_is_there(model, eager):
    batch = tiny_batch(model, 2, 5)
    vision = batch["input_ids"] == IMAGE_ID
    with apply(model, random_keep(1 / 3, seed=5)):
        states = model(**batch, output_hidden_states=True).hidden_states
    kept = (states[0] != states[1]).any(-1)

    def present(i, vision):
        return kept | ~vision

    out = least_attended(eager, batch, 1, 0.5, present)
    assert (out & vision).sum(1).tolist() == [2, 2]
    expected = oracle_logits(model, batch, pruned(out, 2, present))
    with apply(model, random_keep(1 / 3, seed=5) + fastv(2, 0.5)):
        torch.testing.assert_close(model(**batch).logits, expected, **CLOSE)


def test_generated_tokens_meet_the_tokens_that_the_prompt_kept(model, eager):
    """With a cache, FastV chooses once: every later step equals a full pass with that same choice."""
    for batch in (tiny_batch(model, 3, [2, 6, 4]), ragged_batch(model)):
        out = least_attended(eager, batch, 1, 0.5, window(0, N))
        with apply(model, fastv(2, 0.5)):
            run = model.generate(
                **batch,
                max_new_tokens=4,
                do_sample=False,
                suppress_tokens=[IMAGE_ID, 0, 2],
                pad_token_id=0,
                output_logits=True,
                return_dict_in_generate=True,
            )
        n_new = run.sequences.shape[1] - out.shape[1]
        whole = {
            **batch,
            "input_ids": run.sequences,
            "attention_mask": torch.nn.functional.pad(batch["attention_mask"], (0, n_new), value=1),
        }
        wide = torch.nn.functional.pad(out, (0, n_new))
        # The oracle counts positions by column: left padding shifts all of a row alike, which rotary tables do not see.
        expected = oracle_logits(model, whole, pruned(wide, 2, window(0, N)))[:, -n_new - 1 : -1]
        torch.testing.assert_close(torch.stack(run.logits, dim=1), expected, **CLOSE)


def test_dropping_everything_is_vision_exit_and_nothing_is_the_model(model):
    for _, batch in batches(model):
        for layer in (1, 3):
            with apply(model, vision_exit(layer)):
                expected = model(**batch).logits
            with apply(model, fastv(layer, 1.0)):
                torch.testing.assert_close(model(**batch).logits, expected, **CLOSE)
        with apply(model, fastv(2, 0.0)):
            got = model(**batch).logits
        assert torch.equal(got, model(**batch).logits)


def test_rows_of_a_padded_batch_equal_each_alone(model):
    for padding in ("left", "right"):
        batch = ragged_batch(model, padding)
        images = iter(batch["pixel_values"])
        with apply(model, fastv(2, 0.5)):
            together = model(**batch).logits
            for row in range(len(together)):
                valid = batch["attention_mask"][row].bool()
                ids = batch["input_ids"][row, valid][None]
                pixels = [next(images) for _ in range(int((ids == IMAGE_ID).sum()) // 9)]
                alone = model(input_ids=ids, pixel_values=torch.stack(pixels) if pixels else None).logits[0]
                torch.testing.assert_close(together[row, valid], alone, **CLOSE)


def test_fastv_costs_what_its_tokens_cost(model):
    batch = tiny_batch(model, 2, 5)
    with apply(model, fastv(2, 0.5)) as skipping:
        cache = model(**batch, use_cache=True).past_key_values
    assert skipping.tokens_computed == (15, 15, 10, 10, 10)  # 9 vision tokens, 5 of them dropped (4.5 rounds up)
    stored = [layer.keys.shape[-2] for layer in cache.layers]
    assert kv_share(model.config, fastv(2, 0.5), 9, 6) == sum(stored) / (15 * N)
    late, early = (flop_speedup(model.config, plan, 9, 6) for plan in (fastv(2, 0.5), fastv(1, 0.5)))
    assert 1 < late < early < flop_speedup(model.config, vision_exit(1), 9, 6)


def test_fastv_leaves_the_attention_functions_as_they_were(model):
    from transformers import AttentionInterface

    batch, before = tiny_batch(model, 2, 5), dict(AttentionInterface._global_mapping)
    with pytest.raises(ValueError, match="do not match"), apply(model, fastv(2, 0.5)):
        model(**{**batch, "pixel_values": batch["pixel_values"][:1]})
    assert dict(AttentionInterface._global_mapping) == before


def hidden_logits(model, batch, layers):
    """Full-length oracle: vision keys closed to text queries in the given layers."""
    decoder, vision = model.model.language_model, batch["input_ids"] == IMAGE_ID
    states = decoder.embed_tokens(batch["input_ids"])
    if batch.get("pixel_values") is not None:
        features = torch.cat(list(model.get_image_features(batch["pixel_values"]).pooler_output))
        states = states.masked_scatter(vision[..., None], features)
    length = vision.shape[1]
    tables = decoder.rotary_emb(states, torch.arange(length)[None])
    seen = torch.ones(length, length, dtype=torch.bool).tril() & batch["attention_mask"].bool()[:, None, :]
    seen = seen | torch.eye(length, dtype=torch.bool)
    for i, layer in enumerate(decoder.layers):
        allowed = seen & ~(~vision[:, :, None] & vision[:, None, :]) if i in layers else seen
        mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)[:, None]
        states = layer(states, attention_mask=mask, position_embeddings=tables)
    return model.lm_head(decoder.norm(states))


@pytest.mark.parametrize("layers", [(0,), (1, 3), tuple(range(N))], ids=str)
def test_hidden_vision_keys_equal_a_masked_model(model, layers):
    for name, batch in batches(model):
        expected = hidden_logits(model, batch, layers)
        with apply(model, hide_vision(*layers)) as skipping:
            for use_cache in (False, True):
                got = model(**batch, use_cache=use_cache).logits
                torch.testing.assert_close(
                    valid_logits(got, batch), valid_logits(expected, batch), **CLOSE, msg=lambda m, n=name: f"{n}: {m}"
                )
        assert skipping.tokens_computed == (batch["input_ids"].shape[1],) * N  # nothing is saved


def test_hidden_keys_stay_hidden_from_generated_tokens(model):
    for batch in (tiny_batch(model, 2, 5), ragged_batch(model)):
        for plan in (hide_vision(1, 3), hide_vision(*range(N)), hide_vision(2) + late_entry(1) + vision_exit(4)):
            with apply(model, plan):
                for beams in (1, 2):
                    cached, plain = (
                        model.generate(
                            **batch,
                            use_cache=use,
                            num_beams=beams,
                            max_new_tokens=5,
                            do_sample=False,
                            suppress_tokens=[IMAGE_ID, 0, 2],
                            pad_token_id=0,
                        )
                        for use in (True, False)
                    )
                    assert torch.equal(cached, plain), plan


def test_hidden_everywhere_is_blind_to_the_image(model):
    batch = tiny_batch(model, 2, 5)
    other = {**batch, "pixel_values": batch["pixel_values"].flip(-1) + 1.0}
    text = batch["input_ids"] != IMAGE_ID
    for layers, blind in [(range(N), True), (range(1, N), False)]:
        with apply(model, hide_vision(*layers)):
            first, second = (model(**b).logits[text] for b in (batch, other))
        assert torch.equal(first, second) == blind


def test_hidden_keys_need_masks_with_queries_and_keys(model):
    import copy

    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, flash_attention_mask

    ALL_MASK_ATTENTION_FUNCTIONS.register("flash_named", flash_attention_mask)
    flash = copy.deepcopy(model)
    flash.model.language_model.config._attn_implementation_internal = "flash_named"
    with pytest.raises(UnsupportedModelError, match="hide_vision needs attention masks"), apply(flash, hide_vision(1)):
        pass


def test_a_router_equals_the_plan_it_copies(model):
    def copy_of(plan):
        def route(view: LayerInput):
            return ~view.vision if view.layer not in plan.vision_layers(view.n_layers) else None

        return route

    for _, batch in batches(model):
        for plan in (late_entry(2), late_entry(1) + vision_exit(3), vision_exit(0)):
            with apply(model, plan):
                expected = model(**batch).logits
            with apply(model, Plan(), router=copy_of(plan)):
                torch.testing.assert_close(
                    valid_logits(model(**batch).logits, batch), valid_logits(expected, batch), **CLOSE
                )


def test_a_router_may_leave_out_any_token_of_any_layer(model):
    """A new random mask per layer, row and token, in the prompt and in every generated step."""
    for batch in (tiny_batch(model, 2, 5), ragged_batch(model)):
        masks = {}

        def route(view: LayerInput, masks=masks):
            offset = 0 if view.is_prompt else masks[view.layer].shape[1]
            rng = torch.Generator().manual_seed(100 * view.layer + offset)
            keep = torch.rand(view.vision.shape, generator=rng) < 0.6
            keep = keep | (~view.valid if view.is_prompt else False)
            masks[view.layer] = keep if view.is_prompt else torch.cat([masks[view.layer], keep], dim=1)
            return keep

        with apply(model, Plan(), router=route):
            run = model.generate(
                **batch,
                max_new_tokens=4,
                do_sample=False,
                suppress_tokens=[IMAGE_ID, 0, 2],
                pad_token_id=0,
                output_logits=True,
                return_dict_in_generate=True,
            )
        n_seen = masks[0].shape[1]
        whole = {
            **batch,
            "input_ids": run.sequences[:, :n_seen],
            "attention_mask": torch.nn.functional.pad(
                batch["attention_mask"], (0, n_seen - batch["input_ids"].shape[1]), value=1
            ),
        }
        n_prompt = batch["input_ids"].shape[1]
        expected = oracle_logits(model, whole, lambda i, vision, m=masks: m[i])[:, n_prompt - 1 :]
        torch.testing.assert_close(torch.stack(run.logits, dim=1), expected, **CLOSE)


def test_images_at_rest_leave_each_at_its_own_depth(model):
    batch = ragged_batch(model)
    vision = batch["input_ids"] == IMAGE_ID
    states = model(**batch, output_hidden_states=True).hidden_states
    distance = torch.stack([1 - torch.cosine_similarity(a, b, dim=-1) for a, b in itertools.pairwise(states)])
    means = (distance * vision).sum(-1) / vision.sum(-1)  # (N, rows), NaN in the row without an image
    threshold = float(means[:2, :2].mean())
    expected = [next((i for i in range(1, N) if means[i - 1, b] < threshold), N) for b in range(2)] + [N]
    assert len(set(expected)) > 1
    rule = StillVisionExit(threshold)
    with apply(model, Plan(), router=rule):
        got = model(**batch).logits
    assert rule.depths == expected
    latest = StillVisionExit(2.0, earliest=3)  # all are below 2, so all leave as early as they may
    with apply(model, Plan(), router=latest):
        model(**batch)
    assert latest.depths == [3, 3, N]
    depths = torch.tensor(expected)[:, None]
    oracle = oracle_logits(model, batch, lambda i, v: ~(v & (i >= depths)))
    torch.testing.assert_close(valid_logits(got, batch), valid_logits(oracle, batch), **CLOSE)


@pytest.mark.parametrize("answer", [torch.ones(2, 3), torch.ones(2, 15), [True]], ids=["shape", "type", "list"])
def test_what_a_router_returns_is_checked(model, answer):
    with (
        pytest.raises(InvalidInputError, match=r"boolean tensor of shape \(2, 15\) or None from the router in layer 0"),
        apply(model, Plan(), router=lambda view: answer),
    ):
        model(**tiny_batch(model, 2, 5))
