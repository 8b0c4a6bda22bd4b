"""The study's page says what its record says, and the record what its cells say; models and predictors are in order."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import study_analysis as analysis
import study_figures
import study_measure as measuring
import study_models as blueprint
import study_page as pages
import study_scores as scoring
import train_models as training
from extraction import harvest
from extraction.default_model.scenes import sample_scene
from extraction.skip import hide_vision
from extraction.study import sweep
from extraction.tiny import tiny_batch, tiny_llava

ROOT = Path(__file__).resolve().parents[2]
STUDY, RECORD = ROOT / "examples" / "study", ROOT / "docs" / "theory_and_practice.json"
DIGITS = 2e-6  # the record keeps six significant digits


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text())


def test_the_page_is_made_from_the_record(record):
    assert pages.page(record) == (ROOT / "docs" / "theory_and_practice.md").read_text()
    for name in study_figures.FIGURES:
        assert f"{pages.IMAGES}/{name}.svg" in pages.page(record)
        assert (ROOT / "docs" / pages.IMAGES / f"{name}.svg").stat().st_size > 1000


def test_scores_and_rules_follow_from_the_cells(record):
    cells = scoring.flatten(record["models"])
    assert record["n_cells"]["all"] == len(cells) == sum(2 * m["n_layers"] - 2 for m in record["models"])
    for row in record["scores"]:
        for key, value in analysis.statistics_of(cells, row["predictor"]).items():
            if row[key] is None:
                assert np.isnan(value)
            else:
                # Rounded predictors may tie where the full ones did not.
                assert value == pytest.approx(row[key], abs=1e-3), (row["predictor"], key)
    for ours, stored in zip(scoring.rules(cells), record["rules"], strict=True):
        assert {k: ours[k] for k in ("rule", "called_safe", "false_safe", "missed")} == {
            k: stored[k] for k in ("rule", "called_safe", "false_safe", "missed")
        }
    assert scoring.published()["late_entry"]["wrong_cells"] == record["published"]["late_entry"]["wrong_cells"]


def test_cells_are_whole_and_paired(record):
    for model in record["models"]:
        assert model["accuracy"] >= max(model["baselines"].values()) + record["margin"]
        assert model["n_test"] >= 400
        kinds = [(c["kind"], c["layer"]) for c in model["cells"]]
        expected = [("late entry", k) for k in range(1, model["n_layers"] + 1)]
        assert kinds == expected + [("vision exit", k) for k in range(model["n_layers"])]
        for c in model["cells"]:
            lost = analysis.from_hex(c["lost_hex"], model["n_test"]).mean()
            low, high = c["loss_interval"]
            assert low <= c["loss"] <= lost + DIGITS
            assert c["loss"] <= high
        blind = [c for c in model["cells"] if c["blind"]]
        assert len(blind) == 2
        assert blind[0]["loss"] == blind[1]["loss"]


def test_four_cells_of_the_paper_are_called_safe_and_are_not():
    entry = scoring.published()["late_entry"]
    wrong = entry["wrong_cells"]
    assert {c["model"] for c in wrong} == {"LLaVA NeXT 7B"}
    assert [round(100 * c["loss"], 1) for c in wrong] == [4.9, 16.3, 8.8, 13.6]
    assert len(entry["cells"]) == 36
    assert (entry["called_safe"], entry["false_safe"]) == (12, 4)


def test_predictors_are_in_the_order_of_their_plans():
    model = tiny_llava(n_layers=3)
    batch = {**tiny_batch(model, 6), "answers": torch.arange(6) + 5}
    batch["sample_ids"] = [f"s{i}" for i in range(6)]
    statistics = harvest(model, [batch], shift="pilot")
    hidden = sweep(model, [batch], [hide_vision(layer) for layer in range(3)], progress=False)
    table = measuring.predictors_of(statistics, hidden)
    entry, leave = table["late entry"], table["vision exit"]
    assert set(entry) == set(leave)
    matrix, adjacent = statistics.depth_matrix("vision"), statistics.mean_distance("vision")
    for k in range(3):
        # Late entry at k + 1 leaves out layers 1..k + 1, a vision exit at k leaves out k + 1..3.
        assert entry["adjacent distance"][k] == leave["adjacent distance"][k] == adjacent[k]
        assert entry["adjacent distances, summed"][k] == pytest.approx(adjacent[: k + 1].sum())
        assert leave["adjacent distances, summed"][k] == pytest.approx(adjacent[k:].sum())
        assert entry["cumulative distance"][k] == pytest.approx(matrix[0, k + 1], rel=1e-5)
        assert leave["cumulative distance"][k] == pytest.approx(matrix[k, 3], rel=1e-5)
        assert entry["hiding, summed (KL)"][k] == pytest.approx(sum(e.mean_kl for e in hidden[: k + 1]))
    for name in ("adjacent distance", "cumulative distance", "VAR of all text", "VAR of all text, summed"):
        for kind in table.values():
            assert (kind[f"{name}, upper limit"] >= kind[name]).all()


@pytest.mark.parametrize("tiles", [False, True])
def test_training_sees_what_the_model_sees(tiles):
    """Packed questions on cached features give the logits of single prompts through the real model and processor."""
    spec = blueprint.StudyModel(
        name="t", n_layers=2, width=32, families=("color", "shape", "choice"), seed=3, tiles=tiles
    )
    model, processor = blueprint.make_model(spec).eval(), blueprint.make_processor(spec)
    rng = np.random.default_rng(4)
    scenes = [sample_scene(rng, held_out=False) for _ in range(2)]
    crops = np.stack([blueprint.crops(s) for s in scenes])[:, : 5 if tiles else 1]
    packed = training.pack(scenes, rng, spec.families, spec.n_vision)
    with torch.no_grad():
        image = blueprint.vision_tokens(model, blueprint.features_of(model.model.vision_tower, crops))
        together = training.answer_logits(model, image, packed)
    words = processor.tokenizer.convert_ids_to_tokens(range(len(processor.tokenizer)))
    n_prefix = len(training.PREFIX) + spec.n_vision
    compared = 0
    for b, scene in enumerate(scenes):
        start = 0
        for k in range(training.QUESTIONS):
            stop = int(packed.read_at[b, k]) - n_prefix + 1
            text = "USER: <image> " + " ".join(words[i] for i in packed.words[b, start:stop].tolist())
            picture = blueprint.picture(scene, tiles=tiles)
            inputs = processor(text=[text], images=[picture], return_tensors="pt")
            with torch.no_grad():
                alone = model(**inputs).logits[0, -1]
            # The processor's thumbnail may differ by a grey level from the mean of 2 x 2 pixels.
            assert torch.allclose(together[b, k], alone, atol=5e-3 if tiles else 1e-4)
            start, compared = stop, compared + 1
    assert compared == 2 * training.QUESTIONS


def test_an_interrupted_training_goes_on(tmp_path, monkeypatch):
    spec = blueprint.StudyModel(name="t", n_layers=1, width=16, heads=2, families=("color",), seed=1, steps=4)
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng, held_out=False) for _ in range(4)]
    features = torch.randn(4, 5, 36, blueprint.TOWER_WIDTH, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 2)

    def run(folder, stop=None):
        model, steps = blueprint.make_model(spec), []

        def log(**entry):
            steps.append(entry["step"])
            if stop in steps and len(list(folder.glob("image.pt"))):
                raise KeyboardInterrupt

        folder.mkdir(exist_ok=True)
        training.learn(model, spec, scenes, features, folder, stage="image", log=log)
        return model, steps

    whole, steps = run(tmp_path / "whole")
    assert steps == [2, 4]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "torn", stop=4)
    resumed, steps = run(tmp_path / "torn")
    assert steps == [4]
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_plans_of_a_model_that_failed_are_not_scored(record):
    assert not {d["name"] for d in record["dropped"]} & {m["name"] for m in record["models"]}
