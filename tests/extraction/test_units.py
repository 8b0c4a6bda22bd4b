"""Units: samples of one image or one declared group are one draw, whatever their names and files."""

import numpy as np
import pytest
from PIL import Image

from extraction.data import Sample, as_sample, make_batch, read_jsonl, settle_units

RNG = np.random.default_rng(5)
A, B, C = (RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8) for _ in range(3))


def units(*samples):
    return [s.unit for s in settle_units(list(samples))[0]]


def test_one_image_in_many_files_and_formats_is_one_unit(tmp_path):
    Image.fromarray(A).save(tmp_path / "a.png")
    Image.fromarray(A).save(tmp_path / "copy.bmp")
    found = units(
        Sample("1", tmp_path / "a.png", "q"),
        Sample("2", tmp_path / "copy.bmp", "another question"),
        Sample("3", A, "q"),
        Sample("4", [A], "q"),
        Sample("5", B, "q"),
    )
    assert len(set(found[:4])) == 1
    assert found[4] != found[0]


def test_several_images_count_in_order_and_frames_as_images():
    found = units(
        Sample("ab", [A, B], "q"),
        Sample("ba", [B, A], "q"),
        Sample("video", None, "q", video=np.stack([A, B])),
        Sample("a", A, "q"),
    )
    assert found[0] == found[2]
    assert len(set(found)) == 3


def test_the_coarser_of_group_and_pixels_is_the_unit():
    found = units(
        Sample("1", A, "q", group="x"),
        Sample("2", B, "q", group="x"),  # one group
        Sample("3", B, "q"),  # the pixels of 2
        Sample("4", C, "q", group="y"),
    )
    assert found == ["x", "x", "x", "y"]


def test_units_are_linked_through_others_and_do_not_depend_on_the_order():
    samples = [Sample("1", A, "q", group="b"), Sample("2", A, "q", group="a"), Sample("3", C, "q", group="b")]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        assert units(*(samples[i] for i in order)) == ["a"] * 3


def test_what_cannot_be_read_is_a_fault_and_a_unit_of_its_own():
    settled, faults = settle_units(
        [Sample("1", b"torn", "q"), Sample("2", b"torn", "q", group="g"), Sample("3", A, "q")]
    )
    assert [s.unit for s in settled[:2]] == ["unread:1", "g"]
    assert list(faults) == ["1", "2"]
    assert "readable image for sample '1'" in faults["1"]


def test_pictures_are_decoded_once(tmp_path, monkeypatch):
    Image.fromarray(A).save(tmp_path / "a.png")
    settled, _ = settle_units([Sample(str(i), tmp_path / "a.png", "q") for i in range(3)])
    (tmp_path / "a.png").unlink()
    again, faults = settle_units(settled)
    assert not faults
    assert [s.unit for s in again] == [s.unit for s in settled]


def test_a_group_comes_from_the_file_and_units_reach_the_batch(tmp_path):
    Image.fromarray(A).save(tmp_path / "a.png")
    (tmp_path / "d.jsonl").write_text('{"image": "a.png", "question": "what ?", "group": 7}\n')
    (sample,) = read_jsonl(tmp_path / "d.jsonl")
    assert sample.group == "7"
    assert units(sample) == ["7"]

    from extraction import default_model

    processor = default_model.load_processor()
    samples = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(2))]
    settled, _ = settle_units(samples)
    wanted = [s.unit for s in settled]
    assert make_batch(processor, samples)["units"] == wanted == make_batch(processor, settled)["units"]
    assert len(set(wanted)) == 2


@pytest.mark.parametrize("n", [200])
def test_long_chains_of_links_are_one_unit(n):
    images = RNG.integers(0, 256, (n + 1, 2, 2, 3), dtype=np.uint8)
    samples = [Sample(f"{i}{k}", images[i + k], "q", group=f"g{i:04d}") for i in range(n) for k in (0, 1)]
    assert set(units(*RNG.permutation(np.array(samples, dtype=object)))) == {"g0000"}
