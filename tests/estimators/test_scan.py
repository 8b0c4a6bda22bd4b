"""The layer scan on stores whose answers are known: estimates, certificates, command, table and figure."""

import json
import math
import multiprocessing
import tomllib
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from estimators.commands.scan import scan as command
from estimators.scan import layers as scanning
from estimators.scan.layers import UnitView, scan_layers
from estimators.scan.result import plot_scan
from estimators.store import ActivationStore
from extraction.store.writer import ActivationWriter, make_spec
from redundancy.errors import InvalidInputError

D, TOKENS = 6, 4
GAP = 2 * 0.4**2  # one-hot, where the sign that the label follows is lost


def write_store(path, *, images=240, answers=False, labels=("yes", "no"), seed=0):
    """Depth 1 repeats depth 0 but for small noise, depth 2 draws the telling sign anew, depth 3 repeats depth 2.

    States are signs of equal length; P(label | state) = 0.5 + 0.4 * the first sign, which all tokens of an image share.
    """
    rng = np.random.default_rng(seed)
    spec = make_spec(
        model="known", model_type="none", n_layers=3, n_features=D, depths=(0, 1, 2, 3), groups=("vision",),
        tokens_per_group=TOKENS, answers=labels if answers else (),
    )  # fmt: skip
    with ActivationWriter(path, spec, shard_bytes=10_000) as writer:
        for i in range(images):
            first = rng.choice([-1.0, 1.0], size=(TOKENS, D))
            first[:, 0] = first[0, 0]
            second = first.copy()
            second[:, 0] = rng.choice([-1.0, 1.0])
            states = np.stack([first, first, second, second])
            states[1::2] += 0.02 * rng.standard_normal((2, TOKENS, D))
            states *= rng.lognormal(0, 0.5, (4, TOKENS, 1))  # norms differ; directions count
            p = 0.5 + 0.4 * first[0, 0]
            writer.add(
                f"image {i:03d}",
                states,
                token_index=np.arange(TOKENS),
                groups=np.zeros(TOKENS, dtype=int),
                record={"answer": labels[int(rng.random() > p)], "same": "always"},
                answers=np.array([p, 1 - p]) if answers else None,
            )
    return ActivationStore(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("scan") / "store")


@pytest.fixture(scope="module")
def scan(store):
    return scan_layers(store, n_codes=16, n_bootstrap=20)


def test_estimates_are_the_known_gaps(scan):
    assert [(pair.prev, pair.next) for pair in scan.pairs] == [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    for prev, after, truth in ((0, 1, 0.0), (1, 2, GAP), (2, 3, 0.0), (0, 2, GAP), (0, 3, GAP)):
        pair = scan.pair(prev, after)
        assert not pair.error
        assert pair.functional.estimate == pytest.approx(truth, abs=0.12)
        assert pair.functional.interval.lower - 1e-3 <= truth <= pair.functional.interval.upper + 1e-3
        assert pair.interval.width < pair.functional.interval.width
        assert pair.functional.certified_upper.interval.upper >= truth


def test_codes_and_atoms_say_the_same(scan):
    still, moved = scan.pair(0, 1), scan.pair(1, 2)
    # A sign drawn anew half of the time, with five others that stay: one bit, if codes were states.
    assert still.entropy.value < 0.3 < moved.entropy.value
    assert still.entropy_upper.interval.upper < moved.entropy_upper.interval.upper
    assert still.information_lower.interval.lower > moved.information_lower.interval.lower
    assert moved.atoms.atoms["unique_prev"] > moved.atoms.atoms["unique_next"]
    label = 1 - (-0.9 * math.log2(0.9) - 0.1 * math.log2(0.1))
    assert sum(still.atoms.atoms.values()) < label + 0.15
    assert still.distance_upper.interval.upper < 0.1 < moved.distance_upper.interval.upper


def test_kinds_of_pairs(store, scan):
    assert scan.pair(0, 1).kinds == ("adjacent", "entry")
    assert scan.pair(2, 3).kinds == ("adjacent", "exit")
    assert scan.pair(0, 3).kinds == ("entry", "exit")
    adjacent = scan_layers(store, kinds=("adjacent",), n_codes=8, n_bootstrap=0)
    assert [(pair.prev, pair.next) for pair in adjacent.pairs] == [(0, 1), (1, 2), (2, 3)]
    assert all(pair.atoms is None for pair in adjacent.pairs)


def test_certificates_hold_jointly(scan):
    """Each pair spends a sixth; a statement that two pairs share, as the error of one layer's probe, counts once."""
    everything = {}
    for pair in scan.pairs:
        failures = {key: delta for c in pair.certificates for key, delta in c.failures}
        assert sum(failures.values()) <= 0.05 / 6 * (1 + 1e-9)
        everything |= failures
    assert sum(everything.values()) <= 0.05 * (1 + 1e-9)
    assert sum(delta for c in scan.pair(1, 2).certificates[:4] for _, delta in c.failures) > 0.05 / 6 / 3 / 2
    assert all(c.recheck().ok for c in scan.pair(1, 2).certificates)
    assert scan.pair(0, 1).interval.width < scan.pair(0, 1).functional.interval.width


def test_images_that_fitted_codebooks_are_left_out(store, scan):
    assert scan.n_fit_images == 60
    assert scan.n_images == 180
    assert scan.n_tokens == 180 * TOKENS
    assert all(pair.functional.n_images == 180 for pair in scan.pairs)


def test_processes_do_not_change_the_result(store, scan):
    parallel = scan_layers(store, n_codes=16, n_bootstrap=20, jobs=2)
    assert parallel.records_json() == scan.records_json()


def test_the_models_own_answers_as_task(tmp_path):
    store = write_store(tmp_path / "s", answers=True)
    scan = scan_layers(store, target="answers", kinds=("adjacent",), n_codes=8, n_bootstrap=20)
    pair = scan.pair(1, 2)
    assert pair.functional.estimate == pytest.approx(GAP, abs=0.02)  # a distribution is a task without label noise
    assert pair.functional.interval.width < 0.1


def test_table_json_and_figure(scan):
    rows = scan.to_records()
    assert len(rows) == 6
    assert len({tuple(row) for row in rows}) == 1
    tree = json.loads(scan.records_json())
    assert tree["pairs"][0]["prev"] == 0
    assert tree["codebook"] == scan.codebook
    assert "validate a plan" in tree["not_claimed"]
    text = scan.summary()
    assert "(1, 2)" in text
    assert "hold jointly over all pairs at 0.95" in text
    pytest.importorskip("matplotlib")
    ax = plot_scan(scan)
    labels = [line.get_label() for line in ax.get_lines()]
    assert {"adjacent (l-1, l)", "late entry (0, l)", "vision exit (l, L)"} <= set(labels)
    adjacent = next(line for line in ax.get_lines() if line.get_label().startswith("adjacent"))
    assert adjacent.get_ydata() == pytest.approx([scan.pair(i, i + 1).functional.estimate for i in range(3)])


def test_pandas(scan):
    pytest.importorskip("pandas", reason="pandas is optional")
    assert list(scan.to_pandas()["next"]) == [1, 2, 2, 3, 3, 3]


def test_directions_are_what_is_probed(store):
    view = UnitView(store.layer(2))
    assert np.linalg.norm(view[5:9], axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert view.shape == store.layer(2).shape
    raw = scan_layers(store, kinds=("exit",), n_codes=8, n_bootstrap=0, normalise=False)
    assert "lipschitz.unit_norm_upper" not in raw.to_records()[0]


def test_a_pair_that_fails_stops_no_other(store, monkeypatch):
    import estimators.scan.layers as module

    def fail(pair, **options):
        raise InvalidInputError("need better luck, got none")

    monkeypatch.setattr(module, "conditional_entropy_estimate", fail)
    scan = scan_layers(store, kinds=("adjacent",), n_codes=8, n_bootstrap=0)
    assert [pair.error for pair in scan.pairs] == ["need better luck, got none"] * 3
    assert "better luck" in scan.summary()
    assert scan.to_records()[0]["entropy_certified_upper"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "colour"}, "the field 'colour'"),
        ({"target": "same"}, "at least two classes in 'same'"),
        ({"target": "answers"}, "store with answers"),
        ({"kinds": ("sideways",)}, "kinds out of"),
        ({"kinds": ()}, "kinds out of"),
        ({"confidence_level": 0.0}, "confidence_level"),
        ({"n_codes": 5000}, "n_codes"),
        ({"jobs": 0}, "jobs"),
    ],
)
def test_bad_requests_are_refused(store, options, words):
    with pytest.raises(InvalidInputError, match=words):
        scan_layers(store, **options)


# ---------------------------------------------------------------- the command


def run(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command(store, tmp_path):
    arguments = (store.path, "--kinds", "adjacent", "--codes", 8, "--bootstrap", 0, "--jobs", 1)
    result = run(*arguments, "--json", "--out", tmp_path / "scan.json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((tmp_path / "scan.json").read_text())
    pytest.importorskip("matplotlib")
    plain = run(*arguments, "--plot", tmp_path / "scan.svg")
    assert plain.exit_code == 0, plain.output
    assert "(1, 2)" in plain.stdout
    assert (tmp_path / "scan.svg").read_text().startswith("<?xml")
    again = run(*arguments, "--plot", tmp_path / "scan.svg")
    assert isinstance(again.exception, InvalidInputError)
    assert "does not exist yet" in str(again.exception)
    assert "ends in .svg" in str(run(*arguments, "--plot", tmp_path / "scan.gif").exception)
    assert "field 'colour'" in str(run(*arguments, "--target", "colour").exception)


def test_a_scan_that_leaves_out_a_pair_is_complete_and_names_it(store, monkeypatch):
    """Exit code 0, the reason in the JSON: what docs/command_line.md promises to scripts."""
    import estimators.scan.layers as module

    original, calls = module.conditional_entropy_estimate, []

    def fail_once(pair, **options):
        calls.append(pair)
        if len(calls) == 1:
            raise InvalidInputError("need better luck, got none")
        return original(pair, **options)

    monkeypatch.setattr(module, "conditional_entropy_estimate", fail_once)
    result = run(store.path, "--kinds", "adjacent", "--codes", 8, "--bootstrap", 0, "--jobs", 1, "--json")
    assert result.exit_code == 0, result.output
    errors = [pair["error"] for pair in json.loads(result.stdout)["pairs"]]
    assert errors == ["need better luck, got none", "", ""]


def test_an_interrupted_pool_is_ended_at_once(store, monkeypatch):
    """No pair is waited for and no process is left."""
    begun = []

    def interrupt(futures):
        begun.extend(futures)
        raise KeyboardInterrupt

    monkeypatch.setattr(scanning, "as_completed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        scan_layers(store, n_codes=8, n_bootstrap=20, jobs=2)
    assert len(begun) == 6
    assert not any(future.done() and not future.cancelled() and not future.exception() for future in begun)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_scan_says_so(store, monkeypatch, jobs):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(scanning, "_scan_pair" if jobs == 1 else "as_completed", interrupt)
    result = run(store.path, "--codes", 8, "--bootstrap", 0, "--jobs", jobs)
    assert result.exit_code == 130
    assert "Interrupted. A scan keeps no parts: nothing was written." in result.output


def test_a_folder_that_is_no_store_gets_one_sentence(tmp_path):
    assert str(run(tmp_path).exception) == (
        f"need the folder of an activation store, {tmp_path} has no readable store.json (No such file or directory); "
        "make one with: skip-it harvest --store"
    )


def test_few_images_get_a_sentence(tmp_path):
    store = write_store(tmp_path / "few", images=8)
    result = run(store.path, "--codes", 4, "--atom-codes", 4, "--jobs", 1)
    assert isinstance(result.exception, InvalidInputError)
    assert "all 6 fail: need at least 2 images in each of 5 folds, got 6 images" in str(result.exception)


def test_the_command_is_registered():
    root = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").is_file())
    table = tomllib.loads((root / "pyproject.toml").read_text())
    assert table["project"]["entry-points"]["skip_it.commands"]["scan"] == "estimators.commands.scan:scan"
