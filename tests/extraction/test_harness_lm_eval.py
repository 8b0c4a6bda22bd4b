"""lm-eval, the real one, on the embedded model with plans applied: the same samples right as in our own sweep."""

import sys

import pytest
import torch

from extraction.default_model import load_model, load_processor
from extraction.harness import lm_eval_model
from extraction.harness.lm_eval_harness import check_plan
from extraction.skip import Plan, apply, downsample_image, late_entry, vision_exit
from redundancy.errors import InvalidInputError, MissingExtraError
from support import load_script

N = 21  # the unmodified model has the first 14 all right


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def example():
    return load_script("examples/harness/lm_eval_embedded.py")


@pytest.fixture(scope="module")
def embedded():
    return load_model(), load_processor()


@pytest.fixture(scope="module")
def folder(example, tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmark") / "data"
    example.render(path, N)
    return path


def need_harness(monkeypatch):
    """lm-eval with pyarrow and its other libraries is 400 MB, so it is an extra of its own and not in `test`."""
    pytest.importorskip("lm_eval", reason='needs lm-eval: pip install "skip-it[eval]"')
    pytest.importorskip("accelerate", reason='lm-eval needs accelerate: pip install "skip-it[eval]"')
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")


@pytest.mark.parametrize("plan", [Plan(), late_entry(2), vision_exit(5)], ids=str)
def test_harness_and_sweep_agree_sample_by_sample(plan, example, embedded, folder, monkeypatch):
    need_harness(monkeypatch)
    ours = example.own(*embedded, plan, folder)
    assert len(ours) == N
    assert 0 < sum(ours.values()) < N  # a comparison of all right or all wrong would show little
    assert example.harness(*embedded, plan, folder) == ours
    with apply(embedded[0], Plan()):
        pass  # the model is free again


def test_a_plan_that_does_not_fit_fails_before_the_benchmark(embedded, monkeypatch):
    need_harness(monkeypatch)
    with pytest.raises(InvalidInputError):
        lm_eval_model(*embedded, late_entry(99))


def test_rendered_images_are_the_scenes_pixel_by_pixel(example, folder):
    import numpy as np

    from extraction.data import read_jsonl
    from extraction.default_model import load_samples

    for sample, held_out in zip(read_jsonl(folder / "questions.jsonl"), load_samples(N), strict=True):
        assert sample.sample_id == held_out.sample_id
        assert np.array_equal(np.asarray(sample.load_image()), np.asarray(held_out.image))


def test_plans_that_shrink_images_are_refused():
    with pytest.raises(InvalidInputError, match="shrinks images"):
        check_plan(downsample_image(0.25))
    assert check_plan(None) == Plan()


def test_missing_harness_is_named(monkeypatch):
    monkeypatch.setattr("extraction.harness.lm_eval_harness.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"skip-it\[eval\]"):
        lm_eval_model(None, None)


def test_the_package_imports_no_harness():
    import subprocess

    code = (
        "import sys, extraction.harness, extraction.harness.lmms\n"
        "print([m for m in ('lm_eval', 'lmms_eval', 'openai', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
