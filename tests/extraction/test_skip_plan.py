"""Plans are values: they compose, round-trip through text and JSON, and refuse what no decoder can run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.skip import (
    Plan,
    downsample_image,
    fastv,
    hide_vision,
    late_entry,
    logit_exit,
    parse_plan,
    random_keep,
    skip_attention,
    skip_layers,
    skip_mlp,
    text_exit,
    vision_exit,
)
from extraction.skip.plan import GRAMMAR
from extraction.skip.terms import WithoutVision
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.plan_texts import plan_text

layer_sets = st.frozensets(st.integers(0, 20), max_size=6)


@st.composite
def plans(draw):
    entry = draw(st.integers(0, 8))
    plan = late_entry(entry)
    if draw(st.booleans()):
        plan += vision_exit(draw(st.integers(entry, 12)))
    if draw(st.booleans()):
        plan += text_exit(draw(st.integers(0, 12)))
    for make in (skip_layers, skip_attention, skip_mlp, hide_vision):
        plan += make(*draw(layer_sets))
    if draw(st.booleans()):
        plan += random_keep(draw(st.integers(1, 10)) / 10, seed=draw(st.integers(0, 5)))
    if draw(st.booleans()):
        plan += downsample_image(draw(st.floats(0.01, 1)))
    return plan


@given(plan=plans())
def test_text_round_trips_and_equal_plans_have_one_text(plan):
    again = parse_plan(str(plan))
    assert again == plan
    assert hash(again) == hash(plan)
    assert str(again) == str(plan)
    assert Plan(tuple(reversed(plan.terms))) == plan  # the normal form knows no order of writing


@given(plan=plans())
def test_joining_with_the_identity_and_with_itself_changes_nothing(plan):
    assert plan + Plan() == Plan() + plan == plan + plan == plan


def test_text_forms():
    plan = late_entry(4) + vision_exit(24) + skip_layers(9, 3, 7, 8) + skip_attention(1) + random_keep(0.5, seed=2)
    assert str(plan) == (
        "late_entry(4) + vision_exit(24) + skip_layers(3, 7-9) + skip_attention(1) + random_keep(0.5, seed=2)"
    )
    assert repr(late_entry(4)) == "Plan(late_entry(4))"
    assert str(Plan()) == "identity"
    assert parse_plan("identity") == parse_plan("") == parse_plan("late_entry(0)") == Plan()
    assert parse_plan("skip_mlp(2-4,0)+text_exit(3)") == skip_mlp(0, 2, 3, 4) + text_exit(3)
    assert parse_plan("random_keep(0.25)") == random_keep(0.25)
    assert str(fastv(2, 0.5) + hide_vision(4, 5)) == "hide_vision(4-5) + fastv(2, 0.5)"
    assert parse_plan("fastv(2, drop=0.5)") == fastv(2, 0.5)
    assert vision_exit(12) != Plan()  # equal only on a decoder of 12 layers
    assert vision_exit(12).is_identity(12)
    assert not vision_exit(12).is_identity(13)


def test_presence_follows_the_definitions():
    plan = late_entry(1) + vision_exit(3) + text_exit(4)
    presences = [plan.presence(i, 5) for i in range(5)]
    assert presences[:4] == [(WithoutVision(),), (), (), (WithoutVision(),)]
    assert presences[0] == presences[3]  # so that the two layers share every cut
    assert len(presences[4]) == 2
    assert [plan.count(i, 5, 7, 3) for i in range(5)] == [3, 10, 10, 3, 1]
    assert late_entry(6).vision_layers(6) == range(0)
    assert logit_exit(2, n_layers=5) == skip_layers(2, 3, 4)
    assert logit_exit(5, n_layers=5).is_identity(5)
    assert random_keep(1.0).is_identity(5)
    assert not random_keep(0.99).is_identity(5)
    assert not late_entry(1).is_identity(5)
    assert not skip_mlp(0).is_identity(5)
    assert not hide_vision(0).is_identity(5)
    assert fastv(2, 0.0).is_identity(5)
    assert not fastv(4, 0.1).is_identity(5)
    assert [bool(fastv(2, 0.25).presence(i, 4)) for i in range(4)] == [False, False, True, True]
    assert [v - fastv(2, 0.25).count(3, 4, v, 0) for v in (0, 1, 2, 9, 10)] == [0, 0, 1, 2, 3]
    assert [random_keep(0.25).count(0, 4, v, 0) for v in (0, 1, 2, 9, 10, 100)] == [0, 1, 1, 2, 3, 25]
    # The draw comes first, whatever the order in the text: a quarter of half of 16.
    assert (fastv(2, 0.75) + random_keep(0.5)).count(3, 4, 16, 5) == 7


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: late_entry(-1), "need late_entry in 0"),
        (lambda: late_entry(1.5), "need an integer for late_entry, got 1.5"),
        (lambda: late_entry(True), "need an integer"),
        (lambda: vision_exit(-2), "need vision_exit"),
        (lambda: skip_layers(1, -1), "each layer of skip_layers"),
        (
            lambda: late_entry(5) + vision_exit(3),
            r"vision_exit >= late_entry, got late_entry\(5\) and vision_exit\(3\)",
        ),
        (lambda: late_entry(5) + late_entry(3), "agree on late_entry to join them, got 5 and 3"),
        (lambda: random_keep(0.0), "share of random_keep above 0"),
        (lambda: downsample_image(0), "share of downsample_image above 0"),
        (lambda: fastv(0, 0.5), r"the layer of fastv.*got 0"),
        (lambda: fastv(2, 1.5), r"the share of fastv inside \[0, 1\], got 1.5"),
        (lambda: Plan(("late_entry(4)",)), r"need terms in a plan, got 'late_entry\(4\)'; read a text with parse_plan"),
        (lambda: fastv(2, 0.5) + late_entry(2), r"need vision and text tokens in layer 1, by whose"),
        (lambda: fastv(3, 0.5) + vision_exit(2), r"need vision and text tokens in layer 2"),
        (lambda: fastv(3, 0.5) + text_exit(1), r"need vision and text tokens in layer 2"),
        (lambda: fastv(3, 0.5) + skip_layers(2), r"need the attention of layer 2"),
        (lambda: fastv(3, 0.5) + fastv(2, 0.5), r"agree on fastv"),
        (lambda: parse_plan("fastv(2)"), r"got 'fastv\(2\)'"),
        (lambda: random_keep(1.2), r"share of random_keep inside \[0, 1\], got 1.2"),
        (lambda: logit_exit(7, n_layers=5), r"layer in 0\.\.5, got 7"),
        (lambda: parse_plan("early_entry(4)"), r"got 'early_entry\(4\)'"),
        (lambda: parse_plan("late_entry(four)"), r"got 'late_entry\(four\)'"),
        (lambda: parse_plan("late_entry 4"), "got 'late_entry 4'"),
        (lambda: parse_plan("late_entry(4) +"), "got ''"),
        (lambda: parse_plan("skip_layers(9-7)"), "ranges of layers that rise, got '9-7'"),
        (lambda: parse_plan("late_entry(9) + vision_exit(7)"), "cannot leave before they enter"),
    ],
)
def test_bad_plans_are_refused(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make()


OLD = {
    "schema": "skip-it/plan/1",
    "late_entry": 2,
    "vision_exit": 9,
    "text_exit": None,
    "skip_layers": [3, 7, 8],
    "skip_attention": [],
    "skip_mlp": [],
    "hide_vision": [],
    "fastv": [6, 0.5],
    "keep_vision": 0.25,
    "seed": 3,
    "image_share": None,
}


def test_trees_of_release_0_1_0_are_read():
    text = "late_entry(2) + vision_exit(9) + skip_layers(3, 7-8) + fastv(6, 0.5) + random_keep(0.25, seed=3)"
    assert str(parse_plan(OLD)) == text == plan_text(OLD)
    fewer = {**OLD, **dict.fromkeys(("vision_exit", "fastv", "keep_vision")), "late_entry": 0}
    assert parse_plan(fewer) == skip_layers(3, 7, 8)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ([], "need a plan's text, or one of schema skip-it/plan/1, got 'list'"),
        ({"schema": "skip-it/plan/7"}, "got 'skip-it/plan/7'"),
        ({"schema": "skip-it/plan/1", "late_entry": 3}, "need a plan with the fields"),
        ({**OLD, "fastv": [4]}, "one of its fields does not fit"),
        ({**OLD, "skip_layers": 5}, "one of its fields does not fit"),
    ],
)
def test_foreign_trees_are_refused(stored, words):
    with pytest.raises(StoreError, match=words):
        parse_plan(stored)


def test_a_later_grammar_is_refused():
    assert parse_plan("late_entry(4)", grammar=GRAMMAR) == late_entry(4)
    with pytest.raises(StoreError, match=f"grammar {GRAMMAR} or earlier, got {GRAMMAR + 1}"):
        parse_plan("late_entry(4)", grammar=GRAMMAR + 1)


def test_a_plan_cannot_be_joined_with_something_else():
    with pytest.raises(TypeError):
        late_entry(3) + 1
