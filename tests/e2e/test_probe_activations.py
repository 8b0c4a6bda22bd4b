"""The example that stores activations of the embedded model and scans them, on a handful of samples."""

import re

from estimators.store import ActivationStore
from support import ROOT, load_script

EXAMPLE = "examples/probe_activations.py"


def test_the_example_prints_every_pair(tmp_path, capsys):
    module = load_script(EXAMPLE)
    module.main(str(tmp_path / "store"), "24")
    text = capsys.readouterr().out
    assert text.startswith("the store needs")
    rows = re.findall(r"^ *\((\d+), (\d+)\) +(-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\]", text, re.MULTILINE)
    store = ActivationStore(tmp_path / "store")
    assert [(int(a), int(b)) for a, b, *_ in rows] == [(d, d + 1) for d in range(store.n_layers)]
    assert all(float(low) <= float(value) <= float(high) for *_, value, low, high in rows)
    assert len(store.sample_ids) == 24
    # The embedded model's image stands after two text tokens and has 144 tokens; 8 of them are kept, in order.
    places = store.token_index.reshape(24, 8)
    assert places.min() >= 2
    assert places.max() < 2 + 144
    assert (places[:, 1:] > places[:, :-1]).all()
    assert len((ROOT / EXAMPLE).read_text().splitlines()) <= 31
