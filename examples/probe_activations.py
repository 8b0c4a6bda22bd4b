"""Store activations of the embedded model and print, for each pair of layers, what is estimated and certified.

Usage: python examples/probe_activations.py [FOLDER] [N_SAMPLES]
"""

import sys

from estimators.scan.layers import scan_layers
from extraction.default_model import NAME, load_model, load_processor, load_samples
from extraction.store import harvest_activations


def main(folder: str = "activations", n_samples: str = "300") -> None:
    samples = load_samples(int(n_samples))
    store = harvest_activations(
        load_model(),
        samples,
        folder,  # run again with more samples and it goes on where it stopped
        processor=load_processor(),
        groups=("vision",),
        tokens_per_group=8,
        answer_tokens=sorted({sample.answer for sample in samples}),
        name=NAME,
        announce=print,  # says how much disk it needs before it writes
    )
    scan = scan_layers(store, target="answers", kinds=("adjacent",), n_codes=32)
    print(scan.summary())


if __name__ == "__main__":
    main(*sys.argv[1:])
