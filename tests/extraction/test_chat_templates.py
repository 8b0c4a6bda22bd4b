"""Real processors with chat templates: a system prompt is template, several images and videos are all counted."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessor, Qwen2VLProcessor

from extraction.data import as_sample, make_batch, render_prompt
from extraction.run import harvest_to
from extraction.tiny import tiny_family
from extraction.tiny.parts import END, IMAGE, START, VIDEO
from redundancy.errors import InvalidInputError

WORDS = ["system", "You", "are", "kind", ".", "user", "assistant", "what", "moves", "here", "?", "\n"]
MARKS = {"<|vision_start|>": START, "<|image_pad|>": IMAGE, "<|vision_end|>": END, "<|video_pad|>": VIDEO}
TEMPLATE = (
    "{% if messages[0].role != 'system' %}<|im_start|> system You are kind . <|im_end|> {% endif %}"
    "{% for m in messages %}<|im_start|> {{ m.role }} {% for c in m.content %}"
    "{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %} {{ c.text }} {% endif %}{% endfor %}<|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)


class MayLackVideo(Qwen2VLProcessor):
    """Qwen's processor, which may lack a video processor: making one needs torchvision."""

    def check_argument_for_proper_class(self, name, argument):
        return None if argument is None else super().check_argument_for_proper_class(name, argument)


def qwen_processor(video_processor=None):
    """Processor of Qwen2-VL with a small vocabulary, whose marks have the ids of the tiny model."""
    ids = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "[UNK]": 3}
    ids |= {word: 5 + i for i, word in enumerate(WORDS)} | MARKS
    plain = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain,
        unk_token="[UNK]",
        pad_token="<|endoftext|>",
        padding_side="left",
        additional_special_tokens=["<|im_start|>", "<|im_end|>", *MARKS],
    )
    pictures = Qwen2VLImageProcessor(patch_size=4, min_pixels=64, max_pixels=4096)
    return MayLackVideo(
        image_processor=pictures, tokenizer=tokenizer, video_processor=video_processor, chat_template=TEMPLATE
    )


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def processor():
    return qwen_processor()


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (16, 16 + 8 * i, 3), dtype=np.uint8) for i in range(4)]


def test_a_system_prompt_of_the_template_is_special_not_words(processor, pictures):
    assert "system You are kind" in render_prompt(processor, "what moves ?")
    samples = [
        as_sample({"image": pictures[0], "question": q}, i) for i, q in enumerate(["what ?", "what moves here ?"])
    ]
    batch = make_batch(processor, samples, vision_ids=(IMAGE, VIDEO))
    tokens = [processor.tokenizer.convert_ids_to_tokens(row) for row in batch["input_ids"]]
    for row, special, question in zip(
        tokens, batch["special_mask"].tolist(), ["what ?", "what moves here ?"], strict=True
    ):
        outside = [t for t, is_special in zip(row, special, strict=True) if not is_special]
        words = [t for t in outside if t not in ("<|endoftext|>", "<|image_pad|>")]
        assert words == question.split()
        assert [t for t, is_special in zip(row, special, strict=True) if is_special][:4] == [
            "<|im_start|>", "system", "You", "are",
        ]  # fmt: skip


def test_two_images_of_a_sample_are_both_counted(processor, pictures, tmp_path):
    """Through the real processor and a tiny model of its family; 64 pixels, four patches merged, are a token."""
    model = tiny_family("qwen2_vl").model
    samples = [
        {"id": "one", "image": pictures[0], "question": "what moves ?"},
        {"id": "three", "image": [pictures[0], pictures[2], pictures[1]], "question": "what ?"},
        {"id": "two", "image": pictures[:2], "question": "what moves here ?"},
    ]
    run = harvest_to(
        model, [as_sample(s, i) for i, s in enumerate(samples)], tmp_path / "run", processor=processor, progress=False
    )
    tokens = {"one": 4, "three": 4 + 8 + 6, "two": 4 + 6}
    assert dict(zip(run.statistics.sample_ids, run.statistics.token_counts("vision").tolist(), strict=True)) == tokens
    words = dict(zip(run.statistics.sample_ids, run.statistics.token_counts("words").tolist(), strict=True))
    assert words == {"one": 3, "three": 2, "two": 4}
    swapped = samples[2] | {"image": [pictures[0], 255 - pictures[1]]}
    other = harvest_to(
        model, [as_sample(swapped, 0)], tmp_path / "other", processor=processor, progress=False
    ).statistics
    alone = run.statistics.sample_distances("vision")[2]
    assert np.abs(other.sample_distances("vision")[0] - alone).max() > 1e-4  # the second image has a say


def test_a_video_without_a_video_processor_is_a_sentence(processor, pictures):
    video = as_sample({"video": np.stack([pictures[0]] * 2), "question": "what ?"}, 0)
    with pytest.raises(InvalidInputError, match="this one has no video processor; give its frames as a list of images"):
        make_batch(processor, [video], vision_ids=(IMAGE, VIDEO))


def test_videos_and_images_in_one_data_set(pictures, tmp_path):
    """Batches are of one kind; every frame counts: two frames are one layer of patches here."""
    pytest.importorskip("torchvision", reason="transformers' video processors need torchvision")
    from transformers import Qwen2VLVideoProcessor

    processor = qwen_processor(Qwen2VLVideoProcessor(patch_size=4, min_pixels=64, max_pixels=4096))
    model = tiny_family("qwen2_vl").model
    clip = np.stack([pictures[0], 255 - pictures[0]] * 2)
    samples = [
        {"id": "a", "video": clip, "question": "what moves ?"},
        {"id": "b", "image": pictures[0], "question": "what ?"},
        {"id": "c", "video": clip[:2], "question": "what moves here ?"},
    ]
    run = harvest_to(
        model, [as_sample(s, i) for i, s in enumerate(samples)], tmp_path / "run", processor=processor, progress=False
    )
    assert run.statistics.token_counts("vision").tolist() == [8, 4, 4]
    assert not run.faults
