"""A plan belongs to calls: threads, tasks, copies, wrappers and open contexts do not meet on one model."""

import asyncio
import copy
import functools
import io
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import torch
from torch import nn

from extraction import harvest
from extraction.skip import (
    Plan,
    StillVisionExit,
    apply,
    downsample_image,
    fastv,
    hide_vision,
    late_entry,
    random_keep,
    skip_attention,
    skip_layers,
    skip_mlp,
    text_exit,
    vision_exit,
)
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError

N = 4
PLANS = [
    Plan(),
    vision_exit(2),
    late_entry(1) + vision_exit(3),
    fastv(2, 0.5),
    random_keep(0.5, seed=1) + skip_mlp(1),
    skip_layers(1) + skip_attention(2),
    text_exit(3) + hide_vision(0),
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models():
    return [tiny_llava(n_layers=N, seed=seed) for seed in (0, 1)]


@pytest.fixture
def model(models):
    return models[0]


@pytest.fixture(scope="module")
def batch(models):
    return tiny_batch(models[0], 2, [3, 6], padding="left")


def logits(model, batch):
    with torch.no_grad():
        return model(**batch, use_cache=False).logits


def planned(model, batch, plan):
    with apply(model, plan):
        return logits(model, batch)


def untouched(model):
    return not any(name in vars(module) for module in model.modules() for name in ("forward", "generate"))


def test_two_thousand_calls_of_threads_that_open_their_own_plans(models, batch):
    """Plans, models and harvests at once give the bits of one after the other."""
    expected = {(m, p): planned(models[m], batch, PLANS[p]) for m in range(2) for p in range(len(PLANS))}
    labelled = {**batch, "sample_ids": ["a", "b"]}
    plain = [harvest(model, [dict(labelled)]).mean_distance("vision") for model in models]
    jobs = [(k % 2, k // 2 % len(PLANS)) for k in range(2000)]

    def run(k):
        m, p = jobs[k]
        if k % 100 == 99:
            found = harvest(models[m], [dict(labelled)]).mean_distance("vision")
            return bool((found == plain[m]).all())
        return torch.equal(planned(models[m], batch, PLANS[p]), expected[m, p])

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(run, range(2000)))
    assert untouched(models[0])
    assert untouched(models[1])


def test_workers_follow_the_plan_of_the_one_who_opened_it(model, batch):
    with apply(model, vision_exit(1)) as skipping, ThreadPoolExecutor(4) as pool:
        mine = logits(model, batch)
        assert all(torch.equal(x, mine) for x in pool.map(lambda _: logits(model, batch), range(40)))
        assert skipping.tokens_computed == (16, 7, 7, 7)
        # Whoever opens the unmodified model has it, whatever is open elsewhere.
        plain = pool.submit(planned, model, batch, Plan()).result()
    assert torch.equal(plain, logits(model, batch))
    assert not torch.equal(mine, logits(model, batch))


@pytest.fixture
def elsewhere(model):
    """Opens plans in other threads, for as long as the test runs."""
    done, threads = threading.Event(), []

    def hold(plan):
        there = threading.Event()

        def run():
            with apply(model, plan):
                there.set()
                done.wait()

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        assert there.wait(20)

    yield hold
    done.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("others", [1, 3])
def test_the_unmodified_model_generates_as_such_beside_plans_of_other_threads(model, elsewhere, others):
    inputs = tiny_batch(model, 2, 7, padding="left")
    ways = [{}, {"num_beams": 2}, {"prefill_chunk_size": 5}]

    def generated(**how):
        with apply(model, Plan()), torch.no_grad():
            return model.generate(**inputs, max_new_tokens=6, do_sample=False, **how).tolist()

    alone = [generated(**how) for how in ways]
    with apply(model, late_entry(2)), torch.no_grad():
        assert model.generate(**inputs, max_new_tokens=6, do_sample=False).tolist() != alone[0]
    for plan in (late_entry(2), vision_exit(1), skip_layers(1))[:others]:
        elsewhere(plan)
    assert [generated(**how) for how in ways] == alone


def test_who_has_opened_a_plan_sees_nothing_of_what_others_do_to_the_vision_tower(model, batch, elsewhere):
    """A stock tower refuses pictures of another size; one that a plan makes interpolate its positions takes them."""
    pixels = batch["pixel_values"]
    small = {**batch, "pixel_values": pixels[..., : pixels.shape[-2] // 2, : pixels.shape[-1] // 2]}
    elsewhere(downsample_image(0.25))
    for plan in (Plan(), vision_exit(2)):
        with pytest.raises(ValueError, match=r"doesn't match|size"):
            planned(model, small, plan)
    assert planned(model, batch, Plan()).shape[0] == 2


def test_a_thread_without_a_plan_is_told_when_several_are_open_elsewhere(model, batch):
    barrier = threading.Barrier(3)

    def hold(plan):
        with apply(model, plan):
            barrier.wait()
            barrier.wait()

    threads = [threading.Thread(target=hold, args=(plan,)) for plan in (vision_exit(1), vision_exit(2))]
    for thread in threads:
        thread.start()
    barrier.wait()
    try:
        with pytest.raises(InvalidInputError, match=r"2 plans are open .*vision_exit.*open one here"):
            logits(model, batch)
        assert planned(model, batch, Plan()).shape[0] == 2
    finally:
        barrier.wait()
        for thread in threads:
            thread.join()
    assert untouched(model)


def test_routers_remember_nothing_of_other_threads(model):
    batches = [tiny_batch(model, 1, 3 + k, seed=k) for k in range(6)]
    rule = StillVisionExit(0.4, earliest=1)
    with apply(model, Plan(), router=rule):
        expected = [logits(model, batch) for batch in batches]
        with ThreadPoolExecutor(6) as pool:
            for _ in range(10):
                found = pool.map(functools.partial(logits, model), batches)
                assert all(map(torch.equal, found, expected))


def test_tasks_of_one_thread_keep_their_own_plans(model, batch):
    async def one(plan):
        with apply(model, plan):
            await asyncio.sleep(0)
            first = logits(model, batch)
            await asyncio.sleep(0)
            return torch.equal(first, logits(model, batch)), first

    async def all_of_them():
        return await asyncio.gather(*map(one, PLANS))

    found = asyncio.run(all_of_them())
    assert all(same for same, _ in found)
    for plan, (_, mine) in zip(PLANS, found, strict=True):
        assert torch.equal(mine, planned(model, batch, plan)), str(plan)


@pytest.mark.parametrize("plan", PLANS[1:], ids=str)
def test_copies_pickles_and_checkpoints_are_without_the_plan(batch, plan, tmp_path):
    plain = logits(tiny_llava(n_layers=N), batch)
    model = tiny_llava(n_layers=N)  # transformers itself puts hooks on a model in its first call that do not pickle
    with apply(model, plan):
        thawed = pickle.loads(pickle.dumps(model))
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        mine = logits(model, batch)
        clone = copy.deepcopy(model)
        model.save_pretrained(tmp_path)
        for other in (clone, thawed, loaded, type(model).from_pretrained(tmp_path).eval()):
            assert torch.equal(logits(other, batch), plain)
        for parameter in clone.parameters():
            parameter.data.zero_()
        assert torch.equal(logits(model, batch), mine)  # the clone has weights of its own
        assert not logits(clone, batch).any()
        assert torch.equal(planned(thawed, batch, plan), mine)
    assert torch.equal(logits(model, batch), plain)
    assert untouched(model)


def test_contexts_close_in_any_order(models, batch):
    plain = [logits(model, batch) for model in models]
    seen = []
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        stacks = [ExitStack() for _ in range(3)]
        stacks[0].enter_context(apply(models[0], vision_exit(1)))
        stacks[1].enter_context(apply(models[1], late_entry(2)))
        # Something else wraps a layer and goes when it likes, as offloading hooks do.
        layer = models[0].model.language_model.layers[1]
        before, had = layer.forward, vars(layer).get("forward")

        def outer(*args, inner=before, **kwargs):
            return inner(*args, **kwargs)

        layer.forward = outer

        def undo(layer=layer, had=had):
            if had is None:
                del layer.forward
            else:
                layer.forward = had

        stacks[2].callback(undo)
        seen.append([logits(model, batch) for model in models])
        for k in order:
            stacks[k].close()
        for model, expected in zip(models, plain, strict=True):
            assert torch.equal(logits(model, batch), expected)
            vars(model.model.language_model.layers[1]).pop("forward", None)
            assert untouched(model)
    first, *others = seen
    for again in others:
        assert all(map(torch.equal, first, again))


def test_a_part_or_a_whole_of_what_runs_a_plan_is_refused_at_entry(model):
    for outer, inner in ((model, model.model), (model.model, model), (model, model)):
        with (
            apply(outer, late_entry(1)),
            pytest.raises(InvalidInputError, match="already runs a plan here: join plans"),
            apply(inner, vision_exit(2)),
        ):
            pass
    assert untouched(model)


def test_a_layer_is_not_called_alone(model):
    with apply(model, vision_exit(2)), pytest.raises(InvalidInputError, match="call that model, not a part"):
        model.model.language_model.layers[0](torch.zeros(1, 3, 32))


class Wrapper(nn.Module):
    """As adapters wrap: the base is a child, calls go through."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def get_base_model(self):
        return self.base

    def forward(self, *args, **kwargs):
        return self.base(*args, **kwargs)


def test_wrappers_hand_on_to_the_model_that_is_patched(model, batch):
    for wrap in (Wrapper, nn.DataParallel, lambda base: Wrapper(Wrapper(base))):
        wrapped = wrap(model)
        with apply(wrapped, vision_exit(2)):
            assert torch.equal(logits(wrapped, batch), planned_alone(model, batch, vision_exit(2)))
    before = model.forward

    def autocast(*args, **kwargs):
        return before(*args, **kwargs)

    model.forward = autocast  # as accelerate's prepare does, on the instance
    try:
        mine = planned(model, batch, vision_exit(2))
        assert model.forward is autocast
    finally:
        del model.forward
    assert torch.equal(mine, planned(model, batch, vision_exit(2)))


def planned_alone(model, batch, plan):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(planned, model, batch, plan).result()


def test_a_model_compiled_while_a_plan_is_open_gives_the_plan_then_and_none_after(model, batch):
    plain = logits(model, batch)
    with apply(model, vision_exit(2)):
        mine = logits(model, batch)
        compiled = torch.compile(model, backend="eager")
        assert torch.allclose(logits(compiled, batch), mine, rtol=0, atol=1e-6)
    assert torch.allclose(logits(compiled, batch), plain, rtol=0, atol=1e-6)
    torch._dynamo.reset()


def test_a_generation_under_way_keeps_its_plan_when_the_context_closes(model, batch):
    """The usual streaming recipe leaves the block while tokens still come."""
    options = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False, "suppress_tokens": [3], "pad_token_id": 0}
    with apply(model, vision_exit(1)):
        expected = model.generate(**batch, **options)
    assert not torch.equal(expected, model.generate(**batch, **options))
    first, closed, found = threading.Event(), threading.Event(), []

    class Streamer:
        n = 0

        def put(self, value):
            self.n += 1
            if self.n == 3:
                first.set()
                closed.wait()

        def end(self):
            pass

    def run():
        one = {name: value[:1] for name, value in batch.items()}
        found.append(model.generate(**one, streamer=Streamer(), **options))

    thread = threading.Thread(target=run)
    with apply(model, vision_exit(1)):
        thread.start()
        first.wait()
    plain = model.generate(**batch, **options)  # whoever calls now has the unmodified model
    closed.set()
    thread.join()
    assert torch.equal(found[0], expected[:1])
    assert not torch.equal(plain, expected)
    assert untouched(model)
