"""Many harvests at once, of one model and of several: each sees its own calls alone, bit for bit as when alone."""

import asyncio
import copy
import sys
import threading
from contextlib import ExitStack
from itertools import permutations

import numpy as np
import pytest
import torch
from transformers import AttentionInterface

from extraction.harvesting.stream import harvest
from extraction.harvesting.taps import tap_calls
from extraction.harvesting.watch import watch_layers
from extraction.models.adapters import adapt
from extraction.tiny import tiny_batch, tiny_family, tiny_llava


@pytest.fixture(autouse=True)
def single_thread():
    before, interval = torch.get_num_threads(), sys.getswitchinterval()
    torch.set_num_threads(1)
    sys.setswitchinterval(1e-5)  # threads change places in the middle of everything
    yield
    torch.set_num_threads(before)
    sys.setswitchinterval(interval)


def jobs():
    """Models and inputs of different shape; one model in several jobs, one copied, one with eager attention."""
    llava, eager = tiny_llava(n_layers=3), tiny_llava(n_layers=3, attn_implementation="eager")
    family = tiny_family("qwen2_5_vl")
    found = [(llava, tiny_batch(llava, 2, [2 + i, 5], seed=i), {"pairing": "io"}) for i in range(3)]
    found += [(llava, tiny_batch(llava, 1, 4, padding="right"), {"pairing": "hf", "matrix": False})]
    found += [(copy.deepcopy(llava), tiny_batch(llava, 2, 3), {"attention": False})]
    found += [(eager, tiny_batch(eager, 2, [3, 6], seed=9), {})]
    found += [(family.model, family.batch(side), {}) for side in ("left", "right")]
    return found


def arrays(job):
    model, batch, options = job
    return harvest(model, [batch], progress=False, **options).arrays()


def hooks_of(model):
    return [id(hook) for m in model.modules() for hook in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]


def same(got, expected):
    assert got.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


def in_threads(n, work):
    failed = []

    def run(i):
        try:
            work(i)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def test_harvests_in_threads_equal_one_after_another():
    todo = jobs()
    expected = [arrays(job) for job in todo]
    registry = AttentionInterface()
    before, hooks = registry["sdpa"], [hooks_of(model) for model, _, _ in todo]

    def work(i):
        for k in range(6):
            at = (i + k) % len(todo)
            same(arrays(todo[at]), expected[at])

    in_threads(2 * len(todo), work)
    assert registry["sdpa"] is before
    assert [hooks_of(model) for model, _, _ in todo] == hooks


@pytest.mark.slow
def test_two_thousand_harvests_in_threads_equal_one_after_another():
    todo = jobs()
    expected = [arrays(job) for job in todo]

    def work(i):
        for k in range(125):
            at = (i + k) % len(todo)
            same(arrays(todo[at]), expected[at])

    in_threads(16, work)


def test_a_call_that_nobody_watches_is_nobodys():
    """A plain forward pass of the same model in another thread, in the middle of a watched one."""
    model = tiny_llava(n_layers=3)
    mine, other = tiny_batch(model, 2, 3), tiny_batch(model, 1, 7, seed=5)
    expected = arrays((model, mine, {}))

    def intrude(*_):
        if threading.current_thread() is threading.main_thread():
            in_threads(1, lambda _: model(**other))

    handle = adapt(model).layers[1].register_forward_hook(intrude)
    same(arrays((model, mine, {})), expected)
    handle.remove()


def test_asyncio_tasks_that_take_turns_see_their_own_calls():
    model = tiny_llava(n_layers=2)
    adapter = adapt(model)
    batches = [tiny_batch(model, 1, 2 + i, seed=i) for i in range(4)]
    seen = [[] for _ in batches]

    async def task(i):
        with ExitStack() as stack:
            stack.enter_context(watch_layers(adapter, lambda layer, x, y: seen[i].append((layer, x.shape[1]))))
            stack.enter_context(
                tap_calls(adapter.attentions, lambda layer, call: seen[i].append((layer, call.query.shape[2])), None)
            )
            await asyncio.sleep(0)  # all have opened theirs
            model(**batches[i])
            await asyncio.sleep(0)

    async def every():
        await asyncio.gather(*(task(i) for i in range(len(batches))))

    with torch.no_grad():
        asyncio.run(every())
    for batch, calls in zip(batches, seen, strict=True):
        n = batch["input_ids"].shape[1]
        assert calls == [(0, n), (1, n), (1, n), (2, n)]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_taps_close_in_any_order(order):
    model = tiny_llava(n_layers=2)
    attentions, registry = adapt(model).attentions, AttentionInterface()
    before, counts = registry["sdpa"], [0, 0, 0]

    def tap(i):
        def count(*_):
            counts[i] += 1

        return tap_calls(attentions, count, count)

    taps = [tap(i) for i in range(3)]
    for one in taps:
        one.__enter__()
    still = {0, 1, 2}
    for i in order:
        expected = [c + 2 * (k in still) for k, c in enumerate(counts)]
        with torch.no_grad():
            model(**tiny_batch(model, 1, 2))
        assert counts == expected
        taps[i].__exit__(None, None, None)
        still.remove(i)
    last = list(counts)
    with torch.no_grad():
        model(**tiny_batch(model, 1, 2))
    assert counts == last
    assert registry["sdpa"] is before


def test_what_others_register_meanwhile_stays():
    model, registry = tiny_llava(n_layers=1), AttentionInterface()
    before = registry["sdpa"]

    def theirs(*args, **kwargs):
        return before(*args, **kwargs)

    try:
        with tap_calls(adapt(model).attentions, lambda *_: None, lambda *_: None):
            AttentionInterface.register("sdpa", theirs)
        assert registry["sdpa"] is theirs
    finally:
        AttentionInterface.register("sdpa", before)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_deep_copy_made_while_watched_is_not_watched(implementation):
    model = tiny_llava(n_layers=2, attn_implementation=implementation)
    adapter, seen = adapt(model), []
    batch = tiny_batch(model, 1, 3)
    for pairing in ("io", "hf"):
        with (
            torch.no_grad(),
            watch_layers(adapter, lambda *_: seen.append("layer"), pairing=pairing),
            tap_calls(adapter.attentions, lambda *_: seen.append("tap"), lambda *_: seen.append("tap")),
        ):
            clone = copy.deepcopy(model)
            clone(**batch)
            assert seen == []
            model(**batch)
            assert sorted(seen) == ["layer"] * 2 + ["tap"] * 2
        seen.clear()
        clone(**batch)
        assert seen == []
