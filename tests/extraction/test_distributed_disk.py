"""A disk that fills: one sentence, whole files, and after room is made the bits of a run with room."""

import contextlib
import os
import shutil
import subprocess

import pytest
import torch

from extraction import default_model
from extraction.data import as_sample
from extraction.run import harvest_to
from redundancy.errors import StoreError
from redundancy.statistics.harvest_statistics import HarvestStatistics

SIZE = 3 << 20
OPTIONS = {"batch_size": 2, "name": "m", "progress": False}


@pytest.fixture(scope="module")
def parts():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    samples = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(20))]
    yield default_model.load_model(), default_model.load_processor(), samples
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(parts, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "whole"
    run = harvest_to(parts[0], parts[2], out, processor=parts[1], **OPTIONS)
    return run, out


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if mount is None or not hasattr(os, "geteuid") or os.geteuid() != 0 or subprocess.run(command).returncode:
        pytest.skip("a file system of its own needs the right to mount one")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def all_whole(folder):
    """Every statistics file in a folder can be loaded with its digest; nothing else is left of what was cut short."""
    found = sorted(folder.glob("*.safetensors"))
    for file in found:
        HarvestStatistics.load(file)
    assert not list(folder.glob(".*.tmp"))
    return found


def attempt(parts, run):
    """The sentence that a run ends with; None if it comes to its end."""
    try:
        harvest_to(parts[0], parts[2], run, processor=parts[1], resume=run.exists(), **OPTIONS)
    except StoreError as error:
        return str(error)
    return None


def test_a_disk_that_fills_costs_nothing_but_the_batch(parts, whole, small_disk):
    """Every attempt has a little more room and ends in another place: before the first file, at a part, at a merge."""
    run, ballast = small_disk / "run", small_disk / "ballast"
    sentences = []
    for room in range(20_000, SIZE, 180_000):
        ballast.unlink(missing_ok=True)
        used = sum(p.stat().st_blocks * 512 for p in small_disk.rglob("*") if p.is_file())
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            file.write(b"0" * max(0, SIZE - used - room))
        sentence = attempt(parts, run)
        if sentence is None:
            break
        sentences.append(sentence)
        all_whole(run)
    assert len(sentences) >= 2
    assert all("need room to write" in s and "No space left on device" in s for s in sentences)
    assert len(set(sentences)) >= 2
    assert HarvestStatistics.load(run / "statistics.safetensors").digest() == whole[0].statistics.digest()
    assert [p.name for p in all_whole(run)] == [p.name for p in all_whole(whole[1])]


def test_a_limit_on_file_sizes_ends_with_one_sentence_and_the_run_goes_on(parts, whole, tmp_path):
    """Stands for the full disk where none may be mounted: the merged part of eight batches does not fit."""
    resource = pytest.importorskip("resource", reason="limits on file sizes are of POSIX")
    sizes = {p.name: p.stat().st_size for p in whole[1].glob("part-*")}
    limit = (sizes["part-00000008-00000009.safetensors"] + sizes["part-00000000-00000008.safetensors"]) // 2
    run, (soft, hard) = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        sentence = attempt(parts, run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sentence is not None
    assert "part-00000000-00000008.safetensors, got: File too large; earlier files are whole: make room" in sentence
    assert [p.name for p in all_whole(run)] == [f"part-{i:08d}-{i + 1:08d}.safetensors" for i in range(8)]
    assert attempt(parts, run) is None
    assert HarvestStatistics.load(run / "statistics.safetensors").digest() == whole[0].statistics.digest()
