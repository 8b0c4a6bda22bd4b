"""What a harvest of 10^8 tokens costs: a plan on paper, every assumption a number that can be changed.

Usage: python examples/scale_plan.py [--tokens 1e8] [--gpus 64] [--set utilisation=0.3 rent_per_gpu_hour=2 ...]
       [--write docs/scale_plan.md]
"""

import argparse
import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

from redundancy.statistics.harvest_statistics import StatisticsSpec
from redundancy.statistics.schema import ARRAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A decoder and its image encoder, by the numbers that its cost depends on.

    Attributes
    ----------
    parameters : float
        Of the decoder, embeddings left out: each costs two operations per token.
    layers, heads, width : int
    vision_tokens, text_tokens : int
        Of one sample, in the decoder.
    vision_parameters, patches : float
        Of the image encoder, and the positions it works on per sample.
    gigabytes : float
        Weights in bfloat16.
    gpus : int
        That one copy of the model needs; with more than one the layers are spread, and one works at a time.
    """

    name: str
    parameters: float
    layers: int
    heads: int
    width: int
    vision_tokens: int
    text_tokens: int
    vision_parameters: float
    patches: float
    gigabytes: float
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is assumed of machines and prices; none of it is measured here."""

    peak_tflops: float = 989.0  # H200, dense bfloat16, from its data sheet
    utilisation: float = 0.4  # share of the peak that a forward pass reaches
    harvest_overhead: float = 0.02  # of a forward pass; the goal for 7B shapes
    matrix_overhead: float = 0.05  # of the distances between all depths, which can be left out
    image_megabytes: float = 0.15  # of one file
    image_cpu_seconds: float = 0.02  # to decode and resize an image, on one core
    cores_per_gpu: float = 8.0
    storage_gb_per_second: float = 10.0  # of the shared disk, all machines together
    network_gb_per_second: float = 1.25  # of one machine: ten gigabit
    start_seconds: float = 60.0  # imports, first kernels, self-check, of every worker
    gpu_hours_between_failures: float = 50_000.0  # Llama 3 (arXiv 2407.21783): 419 in 54 days of 16,384 GPUs
    preempted_hours_between: float = 24.0  # of one rented machine that may be taken away
    batch: float = 32.0  # samples in flight that a lost worker does again
    stored_tokens: float = 8.0  # of each sample, at every depth, for probes
    stored_bytes: float = 2.0  # per number of an activation
    rent_per_gpu_hour: float = 3.5
    kilowatts_per_gpu: float = 1.2  # 0.7 of the GPU, its share of host and cooling
    price_per_kilowatt_hour: float = 0.15


LLAVA_7B = Model(
    name="LLaVA-1.5-7B", parameters=6.5e9, layers=32, heads=32, width=4096, vision_tokens=576, text_tokens=64,
    vision_parameters=0.30e9, patches=577, gigabytes=14.1, gpus=1,
)  # fmt: skip
VLM_72B = Model(
    name="a 72B VLM (80 layers, width 8192)", parameters=70.5e9, layers=80, heads=64, width=8192, vision_tokens=1024,
    text_tokens=64, vision_parameters=0.67e9, patches=4096, gigabytes=147.0, gpus=2,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a harvest comes to."""

    samples: float
    flops_per_token: float
    total_flops: float
    replicas: int
    compute_hours: float
    images_gigabytes: float
    image_hours: float
    load_hours: float
    wall_hours: float
    gpu_hours: float
    statistics_bytes_per_sample: float
    statistics_gigabytes: float
    activations_gigabytes: float
    network_seconds: float
    failures: float
    preemptions: float
    lost_gpu_hours_per_failure: float
    rent: float
    electricity: float


def flops_per_token(model: Model) -> float:
    """Operations of one decoder token: two per weight, attention over half the sequence, its share of the encoder."""
    length = model.vision_tokens + model.text_tokens
    attention = 4 * model.layers * model.width * length / 2
    encoder = 2 * model.vision_parameters * model.patches / length
    return 2 * model.parameters + attention + encoder


def statistics_bytes(model: Model) -> tuple[int, int]:
    """Bytes of the statistics per sample, and of what is pooled over samples, from the schema itself."""
    spec = StatisticsSpec(model="m", model_type="m", n_layers=model.layers, n_heads=model.heads, shift_digest="0")
    sizes = {"rows": 0, "pooled": 0}
    for entry in ARRAYS.values():
        kind = "rows" if entry.combine == "rows" else "pooled"
        sizes[kind] += math.prod(entry.shape(spec, 1, model.width)) * entry.neutral((1,)).dtype.itemsize
    return sizes["rows"], sizes["pooled"]


def plan(model: Model, tokens: float, gpus: int, given: Assumptions) -> Cost:
    """Cost of harvesting a number of decoder tokens on a number of GPUs."""
    samples = tokens / (model.vision_tokens + model.text_tokens)
    per_token = flops_per_token(model)
    replicas = max(1, gpus // model.gpus)
    work = 1 + given.harvest_overhead + given.matrix_overhead
    rate = given.peak_tflops * 1e12 * given.utilisation
    compute = tokens * per_token * work / (replicas * rate) / 3600
    disk = given.storage_gb_per_second
    decoding = samples * given.image_cpu_seconds / (gpus * given.cores_per_gpu)
    images = max(decoding, samples * given.image_megabytes / 1e3 / disk) / 3600
    load = (replicas * model.gigabytes / disk + given.start_seconds) / 3600
    wall = max(compute, images) + load
    rows, pooled = statistics_bytes(model)
    used = wall * replicas * model.gpus
    state = samples * rows + replicas * pooled
    alone = model.gigabytes / disk + given.start_seconds
    again = given.batch / (samples / replicas) * compute + alone / 3600
    return Cost(
        samples=samples,
        flops_per_token=per_token,
        total_flops=tokens * per_token * work,
        replicas=replicas,
        compute_hours=compute,
        images_gigabytes=samples * given.image_megabytes / 1e3,
        image_hours=images,
        load_hours=load,
        wall_hours=wall,
        gpu_hours=used,
        statistics_bytes_per_sample=rows,
        statistics_gigabytes=state / 1e9,
        activations_gigabytes=samples
        * given.stored_tokens
        * (model.layers + 1)
        * model.width
        * given.stored_bytes
        / 1e9,
        network_seconds=state / 1e9 / given.network_gb_per_second,
        failures=used / given.gpu_hours_between_failures,
        preemptions=wall * replicas / given.preempted_hours_between,
        lost_gpu_hours_per_failure=again * model.gpus,
        rent=used * given.rent_per_gpu_hour,
        electricity=used * given.kilowatts_per_gpu * given.price_per_kilowatt_hour,
    )


ROWS = (
    ("samples", "samples", "{:,.0f}"),
    ("operations per token", "flops_per_token", "{:.3g}"),
    ("operations in all", "total_flops", "{:.3g}"),
    ("copies of the model", "replicas", "{}"),
    ("hours of arithmetic", "compute_hours", "{:.3f}"),
    ("images to read, GB", "images_gigabytes", "{:,.0f}"),
    ("hours of reading and decoding them, beside it", "image_hours", "{:.3f}"),
    ("hours of loading and starting", "load_hours", "{:.3f}"),
    ("hours by the clock", "wall_hours", "{:.3f}"),
    ("GPU hours", "gpu_hours", "{:.1f}"),
    ("statistics, bytes per sample", "statistics_bytes_per_sample", "{:,.0f}"),
    ("statistics, GB", "statistics_gigabytes", "{:.1f}"),
    ("sub-sampled activations, GB", "activations_gigabytes", "{:,.0f}"),
    ("seconds to bring the statistics to one machine", "network_seconds", "{:.1f}"),
    ("failures expected", "failures", "{:.4f}"),
    ("preemptions expected, on machines that can be taken away", "preemptions", "{:.2f}"),
    ("GPU hours that one lost worker costs", "lost_gpu_hours_per_failure", "{:.3f}"),
    ("rent", "rent", "{:.0f}"),
    ("electricity", "electricity", "{:.1f}"),
)


def page(tokens: float, gpus: int, given: Assumptions) -> str:
    """The plan as Markdown."""
    models = (LLAVA_7B, VLM_72B)
    costs = [plan(model, tokens, gpus, given) for model in models]
    single = plan(LLAVA_7B, tokens, 1, given)
    waiting = costs[0].load_hours / costs[0].wall_hours
    lines = [
        f"# What {tokens:.0e} tokens cost on {gpus} GPUs",
        "",
        "A plan on paper, computed by `python examples/scale_plan.py`; nothing on this page is measured. Other "
        "numbers: `--tokens`, `--gpus`, `--set utilisation=0.3 rent_per_gpu_hour=2`. Money is in the currency of the "
        "prices given. How the work is spread: [](scale.md).",
        "",
        "| | " + " | ".join(model.name for model in models) + " |",
        "| --- | --- | --- |",
        *(
            f"| {label} | " + " | ".join(form.format(getattr(cost, name)) for cost in costs) + " |"
            for label, name, form in ROWS
        ),
        "",
        f"{LLAVA_7B.name} on one such GPU would take {single.wall_hours:.1f} hours and cost {single.rent:.0f} in rent; "
        f"on {gpus} of them {waiting:.0%} of the time goes to loading and starting, and the rent is "
        f"{costs[0].rent:.0f}. A lost worker costs a batch and a start, so failures need no checkpoints of their own.",
        "",
        "## Assumed of the models",
        "",
        "| | " + " | ".join(model.name for model in models) + " |",
        "| --- | --- | --- |",
        *(
            f"| {field.name.replace('_', ' ')} | "
            + " | ".join(f"{getattr(model, field.name):g}" for model in models)
            + " |"
            for field in fields(Model)
            if field.name != "name"
        ),
        "",
        "## Assumed of machines and prices",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {field.name.replace('_', ' ')} | {getattr(given, field.name):g} |" for field in fields(Assumptions)),
        "",
        "Sources: the peak is that of NVIDIA's H200 data sheet; the failure rate that of arXiv 2407.21783, section "
        "3.3.4 (419 unexpected interruptions in 54 days of 16,384 GPUs, about one in 50,000 GPU hours). The bytes of "
        "statistics come from the schema in the code. All else is a guess to be replaced by your own number.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=float, default=1e8)
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=NUMBER")
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    changes = dict(item.split("=", 1) for item in arguments.set)
    names = {field.name for field in fields(Assumptions)}
    if not set(changes) <= names:
        parser.error(f"need names out of {sorted(names)}, got {sorted(set(changes) - names)}")
    text = page(arguments.tokens, arguments.gpus, replace(Assumptions(), **{k: float(v) for k, v in changes.items()}))
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
