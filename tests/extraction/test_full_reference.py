"""The engine against a full-length model that knows nothing of it: hooks hide keys and hand states on.

Nothing is cut here. Every decoder layer runs at full length with the keys of absent tokens closed in its own mask, and
the states of absent tokens are put back after it; a layer that runs along the sequence gets each row's present tokens,
one row at a time. Which tokens are absent is worked out from the words of a plan's documentation, not from its code.
"""

import pytest
import torch

from extraction.skip import (
    Plan,
    apply,
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
from extraction.tiny import TINY_FAMILIES, tiny_family
from extraction.tiny.invariants import decoder_layers
from extraction.tiny.parts import IMAGE, START, TinyFamily
from redundancy.errors import UnsupportedModelError

N = 4
FAMILIES = [name for name in TINY_FAMILIES if name not in ("mllama", "idefics")]
QUICK = ("llava", "qwen3_vl", "gemma3", "qwen3_5", "gemma4")
# Rotary tables and some norms stay float32 in a model of float64, and positions move with padding.
TOLERANCE = 5e-5
PLANS = [
    Plan(),
    late_entry(1),
    late_entry(N),
    vision_exit(0),
    vision_exit(2),
    late_entry(1) + vision_exit(3),
    text_exit(2),
    skip_layers(1, 3),
    skip_attention(1),
    skip_mlp(2),
    hide_vision(1),
    fastv(2, 0.5),
    random_keep(0.5, seed=3),
    vision_exit(3) + skip_mlp(1) + text_exit(3),
]
LAYOUTS = ("left", "right", "text only", "alone")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def families():
    made = {}

    def get(name):
        if name not in made:
            made.clear()  # one at a time
            made[name] = tiny_family(name, dtype=torch.float64)
        return made[name]

    return get


def inputs_of(family: TinyFamily, layout: str):
    if layout in ("left", "right"):  # rows differ in words, images and, where the family takes that, in their number
        return family.batch(layout)
    if layout == "alone":
        return family.single(1)
    row = family.rows[0]["input_ids"]
    ids = row[(row != IMAGE) & (row != START)][None]
    longer = torch.cat([ids, ids[:, -2:]], dim=1)
    short = torch.cat([torch.zeros_like(ids[:, :2]), ids], dim=1)
    mask = torch.ones_like(longer).repeat(2, 1)
    mask[0, :2] = 0
    batch = {"input_ids": torch.cat([short, longer]), "attention_mask": mask}
    for name in ("token_type_ids", "mm_token_type_ids"):
        if name in family.rows[0]:
            batch[name] = torch.zeros_like(batch["input_ids"])
    return batch


class Reference:
    """A model whose layers ignore absent tokens."""

    def __init__(self, family, plan, inputs):
        self.model, self.text = family.model, str(plan)
        ids = inputs["input_ids"]
        self.vision = (ids == IMAGE) & inputs["attention_mask"].bool()
        self.valid = inputs["attention_mask"].bool()
        columns = torch.arange(ids.shape[1])
        self.last = columns == torch.where(self.valid, columns, 0).amax(1, keepdim=True)
        self.terms = dict(part.rstrip(")").split("(") for part in self.text.split(" + ")) if plan.terms else {}
        self.kept = torch.ones_like(self.vision)  # vision tokens that FastV keeps
        if "random_keep" in self.terms:
            self.drawn = self.draw()

    def number(self, name, default):
        return int(self.terms[name]) if name in self.terms else default

    def layers_of(self, name):
        return {
            i
            for part in self.terms.get(name, "").split(", ")
            if part
            for i in (range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1))
        }

    def draw(self):
        """floor(share * v + 0.5) of v vision tokens stay, by a permutation that a seeded generator draws."""
        share, seed = self.terms["random_keep"].replace("seed=", "").split(", ")
        drawn = self.vision.clone()
        for row in range(len(drawn)):
            places = self.vision[row].nonzero()[:, 0]
            v = len(places)
            n = max(1, int(float(share) * v + 0.5)) if v else 0
            order = torch.randperm(v, generator=torch.Generator().manual_seed(int(seed)))
            drawn[row, places[order[n:]]] = False
        return drawn

    def present(self, i):
        here = torch.ones_like(self.vision)
        if not self.number("late_entry", 0) <= i < self.number("vision_exit", N):
            here &= ~self.vision
        if "random_keep" in self.terms:
            here &= ~self.vision | self.drawn
        if "fastv" in self.terms and i >= int(self.terms["fastv"].split(", ")[0]):
            here &= ~self.vision | self.kept
        if i >= self.number("text_exit", N):
            here &= self.last
        return here

    def rank(self, shares):
        """FastV: the share of vision tokens that the last prompt token attends to least leaves; ties: the first."""
        scores = shares.mean(1)[self.last]
        share = float(self.terms["fastv"].split(", ")[1])
        for row in range(len(scores)):
            places = self.vision[row].nonzero()[:, 0]
            n_out = int(share * len(places) + 0.5)
            order = scores[row, places].argsort(stable=True)
            self.kept[row, places[order[:n_out]]] = False

    def logits(self, inputs):
        layers = decoder_layers(self.model)
        undo, seen = [], {}
        for i, layer in enumerate(layers):
            undo.append((layer, vars(layer).get("forward")))
            layer.forward = self.forward(i, layer, layer.forward)
        ranks_at = int(self.terms["fastv"].split(", ")[0]) - 1 if "fastv" in self.terms else None
        if ranks_at is not None:
            self.model.set_attn_implementation("eager")
            hook = layers[ranks_at].self_attn.register_forward_hook(lambda m, a, out: seen.update(shares=out[1]))
            hook2 = layers[ranks_at].register_forward_hook(lambda *_: self.rank(seen["shares"].double()))
        try:
            return self.model(**inputs, use_cache=False).logits
        finally:
            for layer, _ in undo:
                del layer.forward
            if ranks_at is not None:
                hook.remove(), hook2.remove()
                self.model.set_attn_implementation("sdpa")

    def forward(self, i, layer, stock):
        silent = {"skip_attention": ("self_attn",), "skip_mlp": ("mlp", "feed_forward")}

        def run(states, *args, **kwargs):
            if i in self.layers_of("skip_layers"):
                return states
            here, undo = self.present(i), []
            for name, parts in silent.items():
                module = next((m for p in parts if (m := getattr(layer, p, None)) is not None), None)
                if i in self.layers_of(name):
                    zero = self.zero_of(name)
                    undo.append(module.register_forward_hook(lambda m, a, out, zero=zero: zero(out)))
            try:
                output = self.fed(layer, stock, i, here, states, args, kwargs)
            finally:
                for hook in undo:
                    hook.remove()
            return torch.where(here[..., None], output, states)

        return run

    @staticmethod
    def zero_of(name):
        def zero(out):
            if not isinstance(out, tuple):
                return torch.zeros_like(out)
            return (torch.zeros_like(out[0]), *out[1:])

        return zero

    def fed(self, layer, stock, i, here, states, args, kwargs):
        if not hasattr(layer, "self_attn"):
            kwargs.pop("attention_mask", None)
            output = states.clone()
            for row, fed in enumerate(here & self.valid):
                if fed.any():
                    output[row, fed] = stock(states[row : row + 1, fed], *args, attention_mask=None, **kwargs)[0]
            return output
        length = states.shape[1]
        mask = kwargs.get("attention_mask")
        if mask is None:
            mask = torch.ones(1, 1, length, length, dtype=torch.bool).tril()
        closed = ~here[:, None, None, :] & ~torch.eye(length, dtype=torch.bool)
        if i in self.layers_of("hide_vision"):
            closed = closed | (self.vision[:, None, None, :] & ~self.vision[:, None, :, None])
        # Additive masks of eager attention: the least float64 plus a score would be -inf, and rows of padding NaN.
        mask = mask & ~closed if mask.dtype == torch.bool else mask.clamp(min=-1e9).masked_fill(closed, -1e9)
        output = stock(states, *args, **{**kwargs, "attention_mask": mask})
        return output if torch.is_tensor(output) else output[0]


def compare(family, plan, layout):
    """Refused with a sentence, or equal at every token whose logits mean something, cached and not, now and next."""
    inputs = inputs_of(family, layout)
    model = family.model
    try:
        with apply(model, plan):
            pass
    except UnsupportedModelError:
        return "refused"
    with torch.no_grad():
        try:
            expected = Reference(family, plan, inputs).logits(inputs)
        except (TypeError, ValueError, AttributeError):
            if layout != "text only":
                raise
            return "no text"  # the stock model takes no call without an image
        valid = inputs["attention_mask"].bool()
        # Where most of the prompt is left out of the last layers, only its last token has logits.
        scale = max(1.0, float(expected[valid].abs().max()))
        for use_cache in (False, True):
            with apply(model, plan):
                output = model(**inputs, use_cache=use_cache)
            gap = float((output.logits - expected)[valid].abs().max()) / scale
            assert gap <= TOLERANCE, (plan, layout, use_cache, gap)
    return "equal"


@pytest.mark.parametrize("layout", ["left", "text only"])
@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("name", QUICK)
def test_some_families_equal_the_full_length_reference(families, name, plan, layout):
    assert compare(families(name), plan, layout) in ("equal", "refused", "no text")


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_equals_the_full_length_reference(families, name):
    found = {(str(plan), layout): compare(families(name), plan, layout) for plan in PLANS for layout in LAYOUTS}
    equal = sum(verdict == "equal" for verdict in found.values())
    assert equal >= len(found) // 2, found


def test_the_reference_sees_a_plan_that_is_off_by_one(families):
    family = families("llava")
    inputs = inputs_of(family, "left")
    with torch.no_grad(), apply(family.model, vision_exit(2)):
        got = family.model(**inputs).logits
    with torch.no_grad():
        other = Reference(family, vision_exit(1), inputs).logits(inputs)
    assert float((got - other).abs().max()) > 100 * TOLERANCE
