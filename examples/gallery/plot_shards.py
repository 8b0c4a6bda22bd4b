"""
A run over shards: killed, resumed, merged
==========================================

A large data set is harvested in parts, on several machines or one after the other, and some parts will be interrupted.
A resumed part is equal to an uninterrupted one to the last bit, and a certificate of the merged parts is equal to the
certificate of one run, to the last bit. Neither rests on luck, and both can be checked.
"""

# %%
# Shards
# ------
# ``harvest_to`` writes each finished batch to a folder. ``shard=(i, n)`` takes the samples of part i of n, by a hash of
# their names, so that parts need not know of each other. On a cluster each is a job of its own:
# ``skip-it harvest MODEL --data FILE --shard 0/3 --out shard-0``.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from extraction.default_model import load_model, load_processor, load_samples
from extraction.run import harvest_to
from redundancy import HarvestStatistics, ProfileCertificate, SkipItError
from redundancy.figures import distance_per_layer

N = 3
model, processor, samples = load_model(), load_processor(), load_samples(60)
temporary = tempfile.TemporaryDirectory()
folders = [Path(temporary.name) / f"shard-{k}" for k in range(N)]


def run(k, out, **options):
    """Harvest shard k of N; every shard gets the whole list of samples."""
    return harvest_to(model, samples, out, processor=processor, shard=(k, N), name="embedded", **options).statistics


# %%
# One of them is killed
# ---------------------
# A hook pulls the plug in the middle of shard 0. The folder keeps what was finished; run again with ``resume``, it goes
# on from there.


def unplug(*_):
    if len(list(folders[0].glob("part-*"))) == 2:
        raise KeyboardInterrupt


plug = model.register_forward_pre_hook(unplug)
try:
    run(0, folders[0])
    killed = False
except KeyboardInterrupt:
    killed = True
plug.remove()
print("killed:", killed, "| left behind:", sorted(path.name for path in folders[0].glob("part-*")))

resumed = run(0, folders[0], resume=True)
uninterrupted = run(0, Path(temporary.name) / "again")
print("resumed        ", resumed.digest())
print("uninterrupted  ", uninterrupted.digest())

# %%
# The digest is over every number, so the two are equal bit for bit.
#
# Merge
# -----
# Results are files; whoever has them can merge them, in any order.

parts = [resumed, *(run(k, folders[k]) for k in range(1, N))]
loaded = [HarvestStatistics.load(folder / "statistics.safetensors") for folder in folders]
merged, backwards = HarvestStatistics.merge_all(loaded), HarvestStatistics.merge_all(loaded[::-1])
print([part.n_samples for part in parts], "samples make", merged.n_samples)

# %%
# Counts and the sums of each sample are equal in both orders, bit for bit. Sums over all samples, from which the
# profile is drawn, are added up in the order of the parts, and equal to rounding:

per_sample = ("distance_sums", "tail_counts", "entry_sums", "exit_sums")
equal = [np.array_equal(getattr(merged, name)("vision"), getattr(backwards, name)("vision")) for name in per_sample]
pooled = merged.depth_matrix("vision"), backwards.depth_matrix("vision")
difference = float(np.nanmax(np.abs(pooled[0] - pooled[1])))
print("sums of each sample:", dict(zip(per_sample, equal, strict=True)))
print(f"largest difference of a pooled mean: {difference:.1e}")

# %%
# Certificates rest on the per-sample numbers alone, in the order of the sample names. So they do not depend on how the
# work was cut or in which order it came back:

certificates = [ProfileCertificate.from_statistics(statistics) for statistics in (merged, backwards)]
same = [a.to_json() == b.to_json() for a, b in zip(*(c.pairs for c in certificates), strict=True)]
print(f"{sum(same)} of {len(same)} layer pairs have the same certificate, character by character")
print("recheck against the merged harvest:", certificates[0].recheck(merged).ok)

fig, ax = plt.subplots(figsize=(6.0, 3.2), layout="constrained")
distance_per_layer({f"shard {k}": part for k, part in enumerate(parts)} | {"merged": merged}, groups=("vision",), ax=ax)
plt.show()

# %%
# What is refused
# ---------------
# A sample that counts twice would not be an independent draw. A folder of another run is not gone on with.

refusals = []
for attempt in (lambda: merged.merge(loaded[0]), lambda: run(1, folders[0], resume=True)):
    try:
        attempt()
    except SkipItError as error:
        refusals.append(str(error))
        print("refused:", error)
temporary.cleanup()
