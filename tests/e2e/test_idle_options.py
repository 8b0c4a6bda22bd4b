"""Options that cannot take effect are refused in a sentence, before anything is loaded or made."""

import json

import pytest

from extraction.commands.support import EMBEDDED

DROP = "drop the option or give what it is for"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["harvest", "--store-tokens", 3], f"need --store with --store-tokens, got none; {DROP}"),
        (["harvest", "--store-tokens", 16], "need --store with --store-tokens"),  # the default, but asked for
        (["harvest", "--store-dtype", "float16"], "need --store with --store-dtype"),
        (["harvest", "--store-groups", "words", "--store-depths", 1], "with --store-groups, --store-depths"),
        (["harvest", "--confidence", 0.9], f"need --until with --confidence, got none; {DROP}"),
        (["harvest", "--threshold", 2], "need distinct distances inside (0, 2) with --threshold, got 2"),
        (["harvest", "--threshold", 0.1, "--threshold", 0.1], "got 0.1, 0.1"),
        (["harvest", "--threshold", "nan"], "got nan"),
        (["select", "--farther", 0.3], f"need --statistics or --prune-first with --farther, got none; {DROP}"),
        (["select", "--prune-first", 8, "--farther", 9], "Invalid value for '--farther'"),
        (["validate", "--plan", ""], 'need a plan, as "vision_exit(9)"'),
        (["validate", "--plan", "identity", "--plan", "  "], "got an empty text"),
    ],
)
def test_an_option_without_effect_is_refused(skip_it, tmp_path, arguments, words):
    command, *options = arguments
    code, _, err = skip_it(command, EMBEDDED, *options, "--limit", 8, "--out", "out")
    assert code == 2
    assert words in err
    assert not (tmp_path / "out").exists()


def test_settings_that_a_run_has_kept_can_be_used_again(skip_it, tmp_path):
    """The file holds the defaults of the store and of the confidence too; a value that was changed is refused."""
    few = ["--limit", 8, "--no-matrix", "--no-attention", "--quiet"]
    assert skip_it("harvest", EMBEDDED, *few, "--threshold", 0.3, "--threshold", 0.05, "--out", "run")[0] == 0
    kept = (tmp_path / "run" / "config.toml").read_text()
    assert "threshold = [0.3, 0.05]\n" in kept
    assert "store-tokens = 16\n" in kept
    code, _, err = skip_it("harvest", "--config", "run/config.toml", "--resume")
    assert code == 0, err
    changed = tmp_path / "changed.toml"
    changed.write_text(kept.replace("store-tokens = 16", "store-tokens = 17"))
    code, _, err = skip_it("harvest", "--config", changed, "--resume")
    assert code == 2
    assert "need --store with --store-tokens, got none" in err


def test_thresholds_reach_the_statistics_and_messages_name_the_option(skip_it, tmp_path):
    few = ["--limit", 8, "--no-matrix", "--no-attention", "--quiet"]
    for i in range(2):
        shard = ["--shard", f"{i}/2", "--out", f"run{i}"]
        assert skip_it("harvest", EMBEDDED, *few, *shard, "--threshold", 0.3, "--threshold", 0.05)[0] == 0
    assert skip_it("merge", "run0", "run1", "--out", "all.safetensors")[::2] == (0, "")
    assert skip_it("certify", "all.safetensors", "--t", 0.3)[::2] == (0, "")
    code, _, err = skip_it("certify", "all.safetensors", "--t", 0.03)
    assert code == 2
    assert "one of (0.05, 0.3), got 0.03; harvest with --threshold 0.03" in err
    code, _, err = skip_it("harvest", EMBEDDED, *few, "--out", "new", "--until", "P_vision[3](0.77) < 0.5")
    assert code == 2
    assert "harvest with --threshold 0.77" in err
    asked = ["--out", "new", "--until", "P_vision[3](0.77) < 0.5", "--threshold", 0.77]
    assert skip_it("harvest", EMBEDDED, *few, *asked)[0] == 0
    # The declaration of a harvest: another run's folder or shard does not take it.
    code, _, err = skip_it("harvest", EMBEDDED, *few, "--shard", "0/2", "--out", "run0", "--resume")
    assert code == 2
    assert "differs in thresholds" in err
    assert skip_it("harvest", EMBEDDED, *few, "--shard", "1/2", "--out", "other")[0] == 0
    code, _, err = skip_it("merge", "run0", "other", "--out", "mixed.safetensors")
    assert code == 2
    assert "thresholds" in err


def test_the_embedded_model_takes_a_data_type_and_a_device(skip_it, tmp_path):
    few = ["--limit", 4, "--no-matrix", "--no-attention", "--quiet"]
    for dtype, found in {"auto": "float32", "bfloat16": "bfloat16"}.items():
        assert skip_it("harvest", EMBEDDED, *few, "--dtype", dtype, "--out", dtype)[0] == 0
        assert json.loads((tmp_path / dtype / "run.json").read_text())["dtype"] == found
    code, _, err = skip_it("harvest", EMBEDDED, *few, "--device", "abacus", "--out", "none")
    assert code == 2
    assert "need a device that torch can use, got 'abacus'" in err
    code, _, err = skip_it("select", EMBEDDED, "--limit", 4, "--dtype", "float7", "--out", "none")
    assert code == 2
    assert "got 'float7'" in err
    assert not (tmp_path / "none").exists()
