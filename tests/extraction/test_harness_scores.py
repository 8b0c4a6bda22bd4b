"""VQA soft accuracy and ANLS against published statements, hand computation and a plain recursion."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.harness.scores import anls, edit_distance, exact_match, normalise_vqa_answer, vqa_soft_accuracy
from redundancy.errors import InvalidInputError

WORDS = st.text(alphabet="ab c", max_size=7)


@pytest.mark.parametrize(("agreeing", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_the_five_levels_of_vqa_accuracy(agreeing, score):
    """With ten people the leave-one-out average takes the published values 0, 0.3, 0.6, 0.9 and 1 only."""
    answers = ["blue"] * agreeing + ["red"] * (10 - agreeing)
    assert vqa_soft_accuracy("Blue.", answers) == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Two dogs", "2 dogs"),
        ("a dont", "don't"),
        ("1,000", "1000"),
        ("3.5", "3.5"),
        ("St. Louis.", "st louis"),
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("None", "0"),
        ("well were its", "well were its"),
    ],
)
def test_vqa_normalisation_by_hand(text, normal):
    assert normalise_vqa_answer(text) == normal


def test_one_answer_is_right_or_wrong():
    assert vqa_soft_accuracy("cat", ["cat"]) == 1.0
    assert vqa_soft_accuracy("cat", ["dog"]) == 0.0


@given(prediction=WORDS, answers=st.lists(WORDS, min_size=2, max_size=10))
def test_vqa_accuracy_is_the_average_over_leaving_one_out(prediction, answers):
    mine = normalise_vqa_answer(prediction)
    truth = 0.0
    for left_out in range(len(answers)):
        others = [normalise_vqa_answer(a) for i, a in enumerate(answers) if i != left_out]
        truth += min(1.0, others.count(mine) / 3) / len(answers)
    assert vqa_soft_accuracy(prediction, answers) == pytest.approx(truth, abs=1e-12)


@given(first=WORDS, second=WORDS)
def test_edit_distance_is_the_recursion(first, second):
    @functools.cache
    def distance(i, j):
        if min(i, j) == 0:
            return max(i, j)
        swap = first[i - 1] != second[j - 1]
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + swap)

    assert edit_distance(first, second) == distance(len(first), len(second))


@pytest.mark.parametrize(
    ("prediction", "answers", "score"),
    [
        ("Coca Cola", ["coca cola"], 1.0),
        ("cocacola", ["coca cola"], 1 - 1 / 9),
        ("coca cola company", ["coca cola"], 1 - 8 / 17),
        ("abcd", ["abxy"], 0.0),  # distance exactly 1/2: the threshold is strict
        ("abcde", ["abcxy"], 0.6),
        ("", ["cola"], 0.0),
        ("2015", ["1999", "2014"], 0.75),
    ],
)
def test_anls_by_hand(prediction, answers, score):
    assert anls(prediction, answers) == pytest.approx(score, abs=1e-12)


def test_wider_threshold_keeps_what_the_narrow_one_drops():
    assert anls("abcd", ["abxy"], threshold=0.6) == 0.5


@pytest.mark.parametrize("score", [vqa_soft_accuracy, anls])
@pytest.mark.parametrize("answers", [[], "cat"])
def test_answers_must_be_a_list(score, answers):
    with pytest.raises(InvalidInputError, match="need a list of at least one answer"):
        score("cat", answers)


def test_threshold_is_checked():
    with pytest.raises(InvalidInputError, match="threshold"):
        anls("a", ["a"], threshold=0.0)


def test_exact_match_is_the_one_of_the_data_package():
    assert exact_match("The cat.", "cat")
