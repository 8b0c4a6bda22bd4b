"""Samples: reading JSONL, prompts and template tokens, scoring; and a harvest from images and questions."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import CLIPImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast

from extraction.data.items import Sample, as_sample
from extraction.data.prompts import DEFAULT_PROMPT, make_batch, render_prompt
from extraction.data.scoring import (
    Scorer,
    answer_token_ids,
    continuation_ids,
    exact_match,
    last_prompt_logits,
    soft_score,
)
from extraction.data.sources import read_jsonl
from extraction.harvesting.stream import harvest
from extraction.tiny import BOS_ID, EOS_ID, FIRST_WORD_ID, IMAGE_ID, PAD_ID, tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError

WORDS = ["USER:", "ASSISTANT:", "what", "color", "is", "it", "?", "red", "blue", "yes", "no"]


@pytest.fixture(scope="module")
def processor():
    vocabulary = {"<pad>": PAD_ID, "<s>": BOS_ID, "</s>": EOS_ID, "<image>": IMAGE_ID, "<unk>": 60}
    vocabulary |= {word: FIRST_WORD_ID + i for i, word in enumerate(WORDS)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS_ID)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
    )
    size = {"height": 12, "width": 12}
    image = CLIPImageProcessorPil(size={"shortest_edge": 12}, crop_size=size)
    return LlavaProcessor(
        image, tokenizer, patch_size=4, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def write(folder, *lines):
    path = folder / "data.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def row(**changes):
    return {"image": "a.png", "question": "what color is it ?", "answer": "red", **changes}


def test_jsonl_is_read_with_images_relative_to_it(folder):
    path = write(folder, row(), "", row(image="b.png", id=7, family="color"))
    first, second = read_jsonl(path)
    assert (first.sample_id, first.answer, first.image) == ("data:000001", "red", folder / "a.png")
    assert (second.sample_id, second.family) == ("7", "color")
    assert first.load_image().size == (12, 12)
    assert first.load_image().mode == "RGB"


def test_what_the_file_has_is_an_answer_and_what_is_absent_is_none(folder):
    given = [0, False, "", 1.5, ["red", "red", "blue"], None, []]
    path = write(folder, {"image": "a.png", "question": "q"}, *(row(answer=answer) for answer in given))
    read = read_jsonl(path)
    assert [sample.answer for sample in read] == [None, "0", "False", "", "1.5", "red", None, None]
    assert read[5].answers == ("red", "red", "blue")
    several = write(folder, {"image": "a.png", "question": "q", "answers": [{"answer": "no"}, {"answer": "yes"}]})
    assert read_jsonl(several)[0].answers == ("no", "yes")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([row(), row(image="none.png")], r"line 2 of .*'none.png', which is missing"),
        ([row(), "", "{broken"], "line 3 of .* unreadable"),
        (["[1]"], "item 1 of .* is a int"),
        ([row(question=" ")], "'question'.*line 1"),
        ([row(image=3)], "line 1 of .* 3 as 'image'"),
        ([row(id="x"), row(id="x")], "'x' twice, in line 1 and line 2"),
        ([], "empty"),
        (["", "  "], "empty"),
    ],
)
def test_bad_jsonl_is_refused_in_one_sentence(folder, lines, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_jsonl(write(folder, *lines))
    assert "\n" not in str(caught.value)


def test_missing_and_undecodable_files_are_refused(folder):
    with pytest.raises(InvalidInputError, match="No such file"):
        read_jsonl(folder / "none.jsonl")
    (folder / "latin.jsonl").write_bytes('{"image": "é"}'.encode("latin-1"))
    with pytest.raises(InvalidInputError, match="UTF-8"):
        read_jsonl(folder / "latin.jsonl")


def test_unreadable_images_name_the_sample(folder):
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:60])
    for image in (folder / "broken.png", folder / "none.png", object(), np.zeros(3)):
        with pytest.raises(InvalidInputError, match="sample 'x'"):
            Sample("x", image, "q").load_image()


def test_samples_of_other_shapes_are_understood():
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    sample = as_sample({"image": pixels, "question": "q", "answer": "a", "id": 3}, 0)
    assert (sample.sample_id, sample.answer) == ("3", "a")
    assert as_sample({"image": pixels, "question": "q"}, 5).sample_id == "00000005"
    assert as_sample(sample, 9) is sample
    for wrong in ({"question": "q"}, 3, {"image": pixels}):
        with pytest.raises(InvalidInputError, match="item 2"):
            as_sample(wrong, 2)


def test_prompts(processor):
    assert render_prompt(processor, "what ?") == "USER: <image>\nwhat ? ASSISTANT:"
    assert render_prompt(processor, "{image} {x}") == "USER: <image>\n{image} {x} ASSISTANT:"
    assert render_prompt(processor, "q", "{image} {question}") == "<image> q"
    with pytest.raises(InvalidInputError, match="exactly once"):
        render_prompt(processor, "q", "{question}")
    with pytest.raises(InvalidInputError, match="'x' is empty"):
        make_batch(processor, [Sample("x", np.zeros((4, 4, 3), np.uint8), " ")])


def test_chat_template_is_preferred(processor):
    class Chatty:
        chat_template = "given"

        def apply_chat_template(self, turns, **options):
            assert options == {"add_generation_prompt": True, "tokenize": False}
            return f"chat {turns[0]['content'][1]['text']}"

    assert render_prompt(Chatty(), "q") == "chat q"
    assert render_prompt(Chatty(), "q", DEFAULT_PROMPT) == "USER: <image>\nq ASSISTANT:"


def test_template_tokens_are_special_and_the_rest_is_the_question(processor, folder):
    samples = [
        Sample("a", folder / "a.png", "what color is it ?"),
        Sample("b", folder / "b.png", "USER: ASSISTANT:"),  # words of the template inside a question
    ]
    batch = make_batch(processor, samples, vision_ids=(IMAGE_ID,))
    assert batch["sample_ids"] == ["a", "b"]
    words = {v: k for k, v in processor.tokenizer.get_vocab().items()}
    special = [
        [words[int(i)] for i in ids[m]] for ids, m in zip(batch["input_ids"], batch["special_mask"], strict=True)
    ]
    assert special == [["<s>", "USER:", "ASSISTANT:"]] * 2
    stats = harvest(tiny_llava(), samples, processor=processor, batch_size=2)
    assert {g: stats.token_counts(g).tolist() for g in ("vision", "words", "sink", "special")} == {
        "vision": [9, 9],
        "words": [5, 2],
        "sink": [1, 1],
        "special": [2, 2],
    }


def test_harvest_from_jsonl_equals_harvest_from_tensors(processor, folder):
    samples = read_jsonl(write(folder, row(), row(image="b.png", question="is it blue ?"), row(question="what ?")))
    model = tiny_llava()
    stats = harvest(model, samples, processor=processor, batch_size=2)
    batches = [make_batch(processor, samples[:2], vision_ids=(IMAGE_ID,)), make_batch(processor, samples[2:])]
    again = harvest(model, batches, special_ids=(PAD_ID, BOS_ID, EOS_ID, IMAGE_ID, 60))
    assert stats.sample_ids == ("data:000001", "data:000002", "data:000003")
    np.testing.assert_array_equal(stats.distance_sums("all"), again.distance_sums("all"))
    np.testing.assert_array_equal(stats.answer_var(), again.answer_var())
    stats.validate()


def test_samples_with_several_images(processor, folder):
    """Rows of one, two and three images in one batch: nine vision tokens each, the template still found."""
    lines = [row(), row(image=["a.png", "b.png"]), row(image=["b.png", "b.png", "a.png"])]
    samples = read_jsonl(write(folder, *lines))
    assert [s.n_images for s in samples] == [1, 2, 3]
    prompt = "USER: {image} {question} ASSISTANT:"
    glued = processor.tokenizer("<image><image>", add_special_tokens=False)["input_ids"]
    assert glued == [IMAGE_ID, IMAGE_ID]
    model = tiny_llava()
    stats = harvest(model, samples, processor=processor, batch_size=3, prompt=prompt, shift=None)
    assert stats.token_counts("vision").tolist() == [9, 18, 27]
    assert stats.token_counts("words").tolist() == [5, 5, 5]
    assert stats.token_counts("special").tolist() == [2, 2, 2]
    alone = [harvest(model, [s], processor=processor, prompt=prompt, shift=None).distance_sums("all") for s in samples]
    np.testing.assert_allclose(stats.distance_sums("all"), np.concatenate(alone), rtol=1e-5)
    with pytest.raises(InvalidInputError, match="need one image, sample 'data:000002' has 2"):
        samples[1].load_image()
    with pytest.raises(InvalidInputError, match="'x', its list is empty"):
        Sample("x", [], "q").load_images()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([], "line 1.*empty list as 'image'"),
        (["a.png", 3], "line 1.*3 as 'image'"),
        (["a.png", "none.png"], "'none.png', which is"),
    ],
)
def test_bad_lists_of_images_are_refused(folder, image, message):
    with pytest.raises(InvalidInputError, match=message):
        read_jsonl(write(folder, row(image=image)))


@pytest.mark.parametrize("padding", ["left", "right"])
def test_last_prompt_logits_under_either_padding(padding):
    model = tiny_llava()
    batch = tiny_batch(model, 3, [2, 5, 3], padding=padding)
    with torch.inference_mode():
        logits = last_prompt_logits(model(**batch).logits, batch["attention_mask"])
        for i in range(3):
            keep = batch["attention_mask"][i].bool()
            alone = model(input_ids=batch["input_ids"][i : i + 1, keep], pixel_values=batch["pixel_values"][i : i + 1])
            torch.testing.assert_close(logits[i], last_prompt_logits(alone.logits)[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(InvalidInputError, match="all positions"):
        last_prompt_logits(torch.zeros(3, 1, 5), batch["attention_mask"])


def test_single_token_answers(processor):
    prompts = ["USER: what ASSISTANT:"] * 2
    ids = answer_token_ids(processor.tokenizer, ["red", "blue"], prompts=prompts)
    assert ids.tolist() == [FIRST_WORD_ID + WORDS.index(w) for w in ("red", "blue")]
    for answer in ("unknownword", "red blue", ""):
        with pytest.raises(InvalidInputError, match="one known token"):
            answer_token_ids(processor.tokenizer, [answer])


def spaced_tokenizer(*, decoder=True):
    """Writes a word after a blank as another token than at the start of a text, as GPT-2 and Qwen do."""
    words = ["<unk>", "<end>", *WORDS, *(f"Ġ{word}" for word in WORDS), "Ġ", "\n"]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.normalizer = normalizers.Replace(" ", "Ġ")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Split("Ġ", "merged_with_next")]
    )
    if decoder:
        backend.decoder = decoders.Sequence([decoders.Replace("Ġ", " "), decoders.Fuse()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="<end>")
    return tokenizer, {word: i for i, word in enumerate(words)}


def test_gold_answers_are_tokenised_after_the_prompt():
    tokenizer, ids = spaced_tokenizer()
    for prompt, word in (
        ("USER: what is it ? ASSISTANT:", "Ġred"),
        ("USER: what is it ? ASSISTANT:\n", "red"),
        ("USER: what is it ?<end>", "red"),
        ("USER: what is it ? ASSISTANT: ", "red"),  # its last blank is a token of its own, which no answer can join
        ("", "red"),
    ):
        assert continuation_ids(tokenizer, prompt, "red") == [ids[word]], prompt
        assert answer_token_ids(tokenizer, ["red"], prompts=[prompt]).tolist() == [ids[word]]


@pytest.mark.parametrize("decoder", [True, False])
def test_no_habit_of_a_tokenizer_makes_a_right_answer_wrong(decoder):
    tokenizer, ids = spaced_tokenizer(decoder=decoder)
    score = Scorer(tokenizer, ("USER: ASSISTANT:",) * 5, (("red",),) * 5)
    assert score([ids["red"], ids["Ġred"], ids["blue"], (ids["Ġred"], ids["<end>"]), -1]) == [1.0, 1.0, 0.0, 1.0, 0.0]
    assert Scorer(tokenizer, ("",), (("zebra",),))([ids["<unk>"]]) == [0.0]
    two = Scorer(tokenizer, ("USER: ASSISTANT:",) * 3, (("red yes",),) * 3)
    assert two([ids["Ġred"], (ids["Ġred"], ids["Ġyes"], ids["<end>"]), (ids["Ġyes"], ids["Ġred"])]) == [0.0, 1.0, 0.0]


def test_several_gold_answers_are_a_set_and_ten_score_softly(processor):
    ids = processor.tokenizer.convert_tokens_to_ids
    golds = (("red", "blue"), (), ("red",) * 2 + ("blue",) * 8, ("no",) * 9 + ("yes",))
    score = Scorer(processor.tokenizer, ("ASSISTANT:",) * 4, golds)
    assert score.is_soft
    assert not Scorer(processor.tokenizer, ("",), (("red",) * 9,)).is_soft
    assert score([ids("blue"), ids("red"), ids("red"), ids("yes")]) == [
        1.0,
        None,
        pytest.approx(0.6),
        pytest.approx(0.3),
    ]
    for n in range(11):  # the definition, by brute force: each of the ten left out once
        golds = [i < n for i in range(10)]
        direct = np.mean([min(1.0, (sum(golds) - golds[i]) / 3) for i in range(10)])
        assert soft_score(n, 10) == pytest.approx(direct)


@pytest.mark.parametrize(
    ("prediction", "answer", "same"),
    [
        ("The  Red.", "red", True),
        ("a red one", "red one", True),
        ("A", "a.", True),
        ("A", "B", False),
        ("A", "the", False),
        ("red", "blue", False),
        ("", "red", False),
        ("it's", "its", True),
    ],
)
def test_exact_match(prediction, answer, same):
    assert exact_match(prediction, answer) is same
