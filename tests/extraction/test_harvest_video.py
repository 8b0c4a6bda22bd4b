"""Videos: their tokens are vision, every invariant holds for them, and files of frames are read or refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from extraction.data import Sample, as_sample, read_jsonl
from extraction.data.video import load_frames
from extraction.harvesting.stream import harvest
from extraction.tiny.invariants import INVARIANTS
from extraction.tiny.video import VIDEO_FAMILIES, tiny_video_family
from redundancy.errors import InvalidInputError

BY_NAME = {invariant.name: invariant for invariant in INVARIANTS}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=VIDEO_FAMILIES)
def family(request):
    return tiny_video_family(request.param)


def test_video_tokens_count_as_vision_and_the_frames_matter(family):
    stats = harvest(family.model, [family.batch()], progress=False)
    assert tuple(stats.token_counts("vision")[:,]) == family.n_vision
    assert np.isfinite(stats.mean_distance("vision")).all()
    batch = family.batch()
    with torch.inference_mode():
        first = family.model(**batch).logits[:, -1]
        second = family.model(**{**batch, "pixel_values_videos": -batch["pixel_values_videos"]}).logits[:, -1]
    assert (first != second).any(-1).all()


@pytest.mark.parametrize("name", BY_NAME)
def test_invariant(family, name):
    assert BY_NAME[name].measure(family) <= BY_NAME[name].tolerance


def test_unknown_family_gives_a_sentence():
    with pytest.raises(InvalidInputError, match="need a family with video inputs among"):
        tiny_video_family("gemma3")


# ---------------------------------------------------------------- files


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, 8, 10, 3), dtype=np.uint8)


def test_frames_from_a_folder_a_file_and_memory(tmp_path, frames):
    (tmp_path / "clip").mkdir()
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{i}.png")
    np.save(tmp_path / "clip.npy", frames)
    np.savez(tmp_path / "clip.npz", frames=frames)
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(tmp_path / "clip.webp", save_all=True, append_images=pictures[1:], lossless=True)
    paths = [tmp_path / "clip" / f"{i}.png" for i in range(3)]
    for source in (tmp_path / "clip", tmp_path / "clip.npy", tmp_path / "clip.npz", tmp_path / "clip.webp", paths,
                   pictures, frames):  # fmt: skip
        np.testing.assert_array_equal(load_frames(source), frames)
    flat = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    flat[0].save(tmp_path / "clip.gif", save_all=True, append_images=flat[1:])
    found = load_frames(tmp_path / "clip.gif")
    assert found[:, 0, 0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.gif", "No such file"),
        ("film.mp4", "needs a decoder; extract its frames"),
        ("notes.txt", "no folder of frames"),
        ("empty", "no frame in it"),
        ("floats.npy", "float64 of shape"),
        ("two.npz", "2 arrays where one is needed"),
        ("odd", "frames of different size"),
        ("torn.gif", "cannot identify"),
    ],
)
def test_unreadable_videos_are_a_sentence_that_names_the_sample(tmp_path, frames, name, words):
    for file in ("film.mp4", "notes.txt", "torn.gif"):
        (tmp_path / file).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "odd" / "a.png")
    Image.new("RGB", (4, 5)).save(tmp_path / "odd" / "b.png")
    np.save(tmp_path / "floats.npy", frames / 255.0)
    np.savez(tmp_path / "two.npz", a=frames, b=frames)
    sample = Sample("clip 7", None, "What moves?", video=tmp_path / name)
    with pytest.raises(InvalidInputError, match=rf"need a readable video for sample 'clip 7'.*{words}"):
        sample.load_video()


def test_a_data_file_may_have_videos(tmp_path, frames):
    np.save(tmp_path / "clip.npy", frames)
    (tmp_path / "data.jsonl").write_text('{"id": "v", "video": "clip.npy", "question": "?", "answer": ""}\n')
    (sample,) = read_jsonl(tmp_path / "data.jsonl")
    assert (sample.n_images, sample.load_images()) == (0, [])
    np.testing.assert_array_equal(sample.load_video(), frames)
    assert as_sample({"video": frames, "question": "?"}, 0).video is frames
