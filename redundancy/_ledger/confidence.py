"""Records of the sampling arguments."""

from __future__ import annotations

from typing import Any

__all__ = ["RECORDS"]

RECORDS: tuple[dict[str, Any], ...] = (
    {
        "id": "mean.betting_upper",
        "title": "Betting upper confidence bound of a mean",
        "status": "added",
        "statement": ("P[mean > bound] <= delta for independent bounded units in a fixed order (Ville's inequality)."),
        "deviation": "The paper reports averages over tokens without an interval.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "mean.betting_lower",
        "title": "Betting lower confidence bound of a mean",
        "status": "added",
        "statement": ("P[mean < bound] <= delta for independent bounded units in a fixed order (Ville's inequality)."),
        "deviation": "The same bet against a small mean, with shares up to 0.95/m.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "mean.betting_sequence_upper",
        "title": "Betting upper bound at every sample size",
        "status": "added",
        "statement": "P[some n: mean > bound_n] <= delta for independent bounded units in a fixed order.",
        "deviation": "One may look after every image and stop at will.",
        "counterexample": "Peeking from 20 to 1000 images, a 95% t bound was wrong at some time in 59% of runs.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "mean.betting_sequence_lower",
        "title": "Betting lower bound at every sample size",
        "status": "added",
        "statement": "P[some n: mean < bound_n] <= delta for independent bounded units in a fixed order.",
        "deviation": "One may look after every image and stop at will.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "mean.finite_population_upper",
        "title": "Upper bound on the mean of a benchmark",
        "status": "added",
        "statement": (
            "Images drawn without replacement: P[mean of all N > bound] <= delta, by betting against (N m - "
            "seen)/(N - j + 1)."
        ),
        "deviation": "About this benchmark only; exact when all images are seen.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "mean.finite_population_lower",
        "title": "Lower bound on the mean of a benchmark",
        "status": "added",
        "statement": (
            "Images drawn without replacement: P[mean of all N < bound] <= delta, by betting against (N m - "
            "seen)/(N - j + 1)."
        ),
        "deviation": "About this benchmark only; exact when all images are seen.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "mean.clopper_pearson_upper",
        "title": "Clopper-Pearson upper bound on images",
        "status": "added",
        "statement": "The p at which P[Binomial(n, p) <= successes] = delta; one outcome 0 or 1 per image.",
        "deviation": "Exact for one outcome per image, and for nothing else.",
        "counterexample": "On tokens at ICC 0.3: coverage 0.53 instead of 0.95.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "mean.clopper_pearson_lower",
        "title": "Clopper-Pearson lower bound on images",
        "status": "added",
        "statement": "The p at which P[Binomial(n, p) >= successes] = delta; one outcome 0 or 1 per image.",
        "deviation": "Exact for one outcome per image, and for nothing else.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "mean.empirical_bernstein_upper",
        "title": "Empirical Bernstein upper bound",
        "status": "added",
        "statement": (
            "P[mean > average + sqrt(2 V ln(2/delta)/n) + 7 r ln(2/delta)/(3(n-1))] <= delta, V the sample variance."
        ),
        "deviation": "Maurer and Pontil; a closed form that profits from a small variance.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "mean.empirical_bernstein_lower",
        "title": "Empirical Bernstein lower bound",
        "status": "added",
        "statement": (
            "P[mean < average - sqrt(2 V ln(2/delta)/n) - 7 r ln(2/delta)/(3(n-1))] <= delta, V the sample variance."
        ),
        "deviation": "Maurer and Pontil; a closed form that profits from a small variance.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "mean.hoeffding_upper",
        "title": "Hoeffding's upper bound",
        "status": "added",
        "statement": "P[mean > average + r sqrt(ln(1/delta)/(2n))] <= delta, values in [0, r].",
        "deviation": "For comparison: looks at the range only.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "mean.hoeffding_lower",
        "title": "Hoeffding's lower bound",
        "status": "added",
        "statement": "P[mean < average - r sqrt(ln(1/delta)/(2n))] <= delta, values in [0, r].",
        "deviation": "For comparison: looks at the range only.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "tail.dkw_band",
        "title": "Clustered DKW band",
        "status": "added",
        "statement": (
            "P[sup_t |F_n - F| > sqrt(ln(2e/delta)/(2n))] <= delta, F_n the average of n i.i.d. per-image "
            "distribution functions."
        ),
        "deviation": (
            "The classical band needs independent tokens; a convex order costs the factor e inside the logarithm."
        ),
        "counterexample": "The band over all tokens covered in 2.5% of runs.",
        "evidence": "C",
        "page": "confidence",
    },
    {
        "id": "tail.dkw",
        "title": "A tail probability at any threshold",
        "status": "added",
        "statement": (
            "P[rho > t] within the band around its image average, at every t at once, also one chosen after looking."
        ),
        "deviation": "Paid for once by the band.",
        "evidence": "C",
        "uses": ("tail.dkw_band",),
        "page": "confidence",
    },
)
