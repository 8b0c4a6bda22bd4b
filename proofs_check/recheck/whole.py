"""What must agree across a certificate: sample sizes, levels, layers, and the sentence that is put to readers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

from proofs_check.recheck.record import exact

__all__ = ["problems_of_pair", "problems_of_profile"]

Problems = list[tuple[str, str]]

_SILENT = "Says nothing about: raw-state entropy, other populations, or the network with a layer removed."
_UNITS = {2.0: "bits", math.e: "nats", 10.0: "bans"}
_WHOLE_SAMPLE = ("mean_distance", "tail_prob", "tail_prob_closed", "mismatch_prob")
_SAMPLED = 4  # mean distance and tail, from either side
_NAMES = {
    "mean_distance": "mean distance",
    "tail_prob": "P(distance > t)",
    "tail_prob_closed": "P(distance >= t)",
    "conditional_entropy": "H(next code | previous code)",
    "backward_entropy": "H(previous code | next code)",
    "mismatch_prob": "P(codes differ)",
    "ball_prob": "P(distance <= t) of different images",
    "error_prev": "squared error of the probe on the previous layer",
    "error_next": "squared error of the probe on the next layer",
    "mmse_increase": "loss of an ideal reader of the previous layer",
    "information_next": "I(task; next | previous)",
}
_MEANS = {
    "image_average": "means are over images of the mean over an image's tokens",
    "token_pooled": "means are over tokens: expected sum over expected count",
}


def problems_of_pair(pair: Mapping[str, Any], sentence: str, arrays: Mapping[str, Any]) -> Problems:
    """What is wrong with a layer pair beside its statements."""
    found = _sample_sizes(pair, arrays, "")
    expected = _sentence_of_pair(pair, outward=True)
    if sentence not in (expected, _sentence_of_pair(pair, outward=False)):
        found.append(("sentence", f"is not what the statements say, which is: {expected}"))
    return found


def problems_of_profile(body: Mapping[str, Any]) -> Problems:
    """What is wrong with a profile beside its statements."""
    pairs, level = body["pairs"], body["confidence_level"]
    found: Problems = []
    for k, pair in enumerate(pairs):
        found += _sample_sizes(pair, body["arrays"], f"pairs[{k}].")
        found += [
            (f"pairs[{k}].{name}", f"is {pair.get(name)!r}, the profile says {body.get(name)!r}")
            for name in ("n_images", "population", "n_samples", "units_assumed")
            if pair.get(name) != body.get(name)
        ]
    for group in dict.fromkeys(pair["group"] for pair in pairs):
        layers = [pair["layer"] for pair in pairs if pair["group"] == group]
        if layers != list(range(1, len(layers) + 1)):
            found.append(("pairs", f"layers of {group} are {layers}, need 1, 2, ..."))
    if len({sum(p["group"] == g for p in pairs) for g in {p["group"] for p in pairs}}) > 1:
        found.append(("pairs", "the groups have unequal numbers of layers"))
    found += _known_laws(body) if level is None else _levels(body)
    expected = _sentence_of_profile(body, outward=True)
    if body["sentence"] not in (expected, _sentence_of_profile(body, outward=False)):
        found.append(("sentence", f"is not what the statements say, which is: {expected}"))
    if body["statistics_digest"] and not _is_digest(body["statistics_digest"]):
        found.append(("statistics_digest", f"is no SHA-256: {body['statistics_digest']!r}"))
    return found


def _known_laws(body: Mapping[str, Any]) -> Problems:
    """Of given laws nothing is sampled, so there is no level, and no image."""
    failures = [f for pair in body["pairs"] for s in pair["statements"] for f in s["failures"]]
    found: Problems = [("confidence_level", "is missing, and some statements may fail")] if failures else []
    expected = {"estimand": "given_law", "n_images": 0, "statistics_digest": ""}
    return found + [(name, f"is {body[name]!r} for given laws") for name, v in expected.items() if body[name] != v]


def _levels(body: Mapping[str, Any]) -> Problems:
    """All sampling statements have one level, and fail jointly with 1 - confidence_level, no more and no less."""
    pairs, level = body["pairs"], body["confidence_level"]
    found: Problems = []
    sampled = [s for pair in pairs for s in pair["statements"] if "values" in s["inputs"]]
    if len(sampled) != _SAMPLED * len(pairs):
        found.append(("pairs", f"need {_SAMPLED * len(pairs)} sampling statements, got {len(sampled)}"))
    estimands = {s["inputs"]["estimand"] for s in sampled}
    if estimands != {body["estimand"]}:
        found.append(("estimand", f"is {body['estimand']!r}, the statements have {sorted(estimands)}"))
    levels = {s["inputs"]["confidence_level"] for s in sampled}
    shared = (1.0 - level) / max(1, len(sampled))
    if any(not math.isclose(1.0 - single, shared, rel_tol=1e-9) for single in levels):
        found.append(("confidence_level", f"{level!r} needs {1.0 - shared!r} for each sampling statement"))
    failures = {key: delta for pair in pairs for s in pair["statements"] for key, delta in s["failures"]}
    if math.fsum(failures.values()) > (1.0 - level) * (1 + 1e-12):
        found.append(("confidence_level", f"the statements may fail with {math.fsum(failures.values())!r} in all"))
    return found


def _is_digest(text: Any) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")


def _sample_sizes(pair: Mapping[str, Any], arrays: Mapping[str, Any], place: str) -> Problems:
    if not any(s["failures"] for s in pair["statements"]):
        known = {"n_images": 0, "n_tokens": 0, "population": "none: the law is given"}
        return [
            (place + name, f"is {pair[name]!r}, and nothing was sampled")
            for name, v in known.items()
            if pair[name] != v
        ]
    # The arrays themselves are checked against their hashes; here only the totals count.
    return [
        (f"{place}{name}", f"is {pair[name]}, the sample has {size}")
        for s in pair["statements"]
        if s["quantity"] in _WHOLE_SAMPLE and "counts" in s["inputs"]
        for name, size in _totals(arrays, s["inputs"]["counts"])
        if pair[name] != size
    ]


def _totals(arrays: Mapping[str, Any], reference: Any) -> Iterator[tuple[str, int]]:
    match reference:
        case {"array": key} if key in arrays:
            yield "n_images", len(arrays[key]["values"])
            yield "n_tokens", int(sum(arrays[key]["values"]))


def _vacuous(statement: Mapping[str, Any]) -> bool:
    ends = [exact(statement[name][side]) for side in (0, 1) for name in ("interval", "trivial")]
    return bool(ends[0] <= ends[1] and ends[2] >= ends[3])


def _level(failures: Mapping[str, float]) -> float | None:
    return max(0.0, 1.0 - sum(failures.values())) if failures else None


def _number(x: float, digits: int, rounding: str | None) -> str:
    """To this many digits; release 0.1.0 rounded to the nearest."""
    if rounding is None or math.isinf(x):
        return f"{x:.{digits}g}"
    with localcontext(prec=digits, rounding=rounding):
        return f"{float(+Decimal(repr(x))):.{digits}g}"


def _shown_level(level: float, digits: int, *, outward: bool) -> str:
    tidy = round(level, 12)  # what sums of floats lose is not the sample's
    return _number(tidy if tidy < 1.0 else level, digits, ROUND_FLOOR if outward else None)


def _label(statement: Mapping[str, Any], *, outward: bool) -> str:
    level = max(0.0, 1.0 - math.fsum(delta for _, delta in statement["failures"]))
    if statement["evidence"] == "C" and statement["failures"]:
        if not outward:
            return f"C({1.0 - level:.3g})"
        tidy = round(level, 12)
        with localcontext(prec=28):
            error = 1 - Decimal(repr(tidy if tidy < 1.0 else level))
        with localcontext(prec=3, rounding=ROUND_CEILING):
            return f"C({float(+error):.3g})"
    return str(statement["evidence"])


def _unit(base: float | None) -> str:
    return "" if base is None else f" {_UNITS.get(base, f'base-{base:g} units')}"


def _several(body: Mapping[str, Any]) -> bool:
    return bool(body.get("n_samples", body["n_images"]) != body["n_images"])


def _drawn(body: Mapping[str, Any]) -> str:
    remarks = [f"{body['n_samples']:,} questions"] if _several(body) else []
    if body.get("units_assumed"):
        remarks.append("assumed: a sample that names no image shows one of its own")
    return f"{body['n_images']} i.i.d. images" + (f" ({'; '.join(remarks)})" if remarks else "")


def _order_warning(body: Mapping[str, Any]) -> str:
    found = body.get("order_e_value", 0.0)
    if not found:
        return ""
    return (
        f" The file is sorted or drifts (e-value {found:.3g} against a random order): the guarantee is about shuffled "
        "draws from it."
    )


def _claim(statement: Mapping[str, Any], *, outward: bool) -> str:
    name = _NAMES.get(statement["quantity"], statement["quantity"].replace("_", " "))
    (low, high), (least, most) = ([float(end) for end in statement[field]] for field in ("interval", "trivial"))
    below = _number(low, 4, ROUND_FLOOR if outward else None)
    above = _number(high, 4, ROUND_CEILING if outward else None)
    bound = f"<= {above}" if high < most else f">= {below}"
    if low > least and high < most:
        bound = f"in [{below}, {above}]"
    label = _label(statement, outward=outward)
    return f"{name} {bound}{_unit(statement['base'])} [{label}, {statement['theorem']}]"


def _sentence_of_pair(pair: Mapping[str, Any], *, outward: bool) -> str:
    tokens = f"{pair['group']} tokens"
    where = f"layer {pair['layer']}, {tokens}" if pair["layer"] else tokens
    useful = [s for s in pair["statements"] if not _vacuous(s)]
    claims = "; ".join(dict.fromkeys(_claim(s, outward=outward) for s in useful)) or "nothing beyond the trivial ranges"
    failures = {key: delta for s in pair["statements"] for key, delta in s["failures"]}
    level = _level(failures)
    if level is None:
        text = f"For the given law ({where}): {claims}."
    else:
        text = (
            f"With confidence at least {_shown_level(level, 6, outward=outward)} over the draw of {_drawn(pair)} from "
            f"{pair['population']}, jointly over {len(failures)} sampling statements ({where}): {claims}."
        )
        text += _order_warning(pair)
    assumed = dict.fromkeys([*(a[1] for s in useful for a in s["assumptions"]), *pair["notes"]])
    idle = dict.fromkeys(s["theorem"] for s in pair["statements"] if _vacuous(s))
    text += f" Assumes: {'; '.join(assumed)}." if assumed else ""
    if idle:
        text += (
            f" Vacuous, so without any content: {', '.join(idle)}; a bound that is missing or vacuous is no "
            "evidence against redundancy."
        )
    return f"{text} {_SILENT}"


def _sentence_of_profile(body: Mapping[str, Any], *, outward: bool) -> str:
    pairs, level = body["pairs"], body["confidence_level"]
    statements = [s for pair in pairs for s in pair["statements"]]
    firm = dict.fromkeys(a[1] for s in statements if s["evidence"] == "CP"[level is None] for a in s["assumptions"])
    declared = dict.fromkeys(
        a[1] for s in statements if s["evidence"] == "A" and not _vacuous(s) for a in s["assumptions"]
    )
    text = f"For the {len(pairs)} given laws all bounds labelled P hold."
    if level is not None:
        text = (
            f"With confidence at least {_shown_level(level, 6, outward=outward)} over the draw of {_drawn(body)} from "
            f"{body['population']}, jointly over {_SAMPLED * len(pairs)} sampling statements, all bounds labelled C "
            f"hold; {_MEANS.get(body['estimand'], '')}"
        )
        text += "; an image with several questions counts once, with the mean over them" if _several(body) else ""
        text += "." + _order_warning(body)
    text += f" Assumes: {'; '.join(firm)}."
    only = [a for a in declared if a not in firm]
    text += f" Bounds labelled A assume besides: {'; '.join(only)}." if only else ""
    notes = [f"layer {pair['layer']} {pair['group']}: {note}" for pair in pairs for note in pair["notes"]]
    text += f" Note: {'; '.join(notes)}." if notes else ""
    return f"{text} {_SILENT}"
