"""M1 to M32: false variants of the theorems by hand, with a term, a constant or an assumption changed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from proofs_check.enclosure import Real, greatest, log, sqrt
from proofs_check.law import Law
from proofs_check.statements import STATEMENTS, Statement
from proofs_check.statements.base import Constants
from proofs_check.statements.entropic import printed_fano, printed_information, times_log
from proofs_check.statements.functional import lipschitz_sum
from proofs_check.statements.sampling import betting

__all__ = ["TERM_MUTANTS"]

F = Fraction
_BY_NAME = {s.name: s for s in STATEMENTS}
_PRINTED, _NATURAL = "previous - next - task", "next - previous - task"


def _s(name: str) -> Statement:
    return _BY_NAME[name]


def _cosine_not_unit(name: str) -> Statement:
    """A statement about unit vectors, with vectors of any length."""
    statement = _s(name)
    needs = tuple("cosine" if n == "unit norm" else n for n in statement.needs)
    return statement.but(needs=needs, families=("two lengths", "stretched"))


def _one_constant(law: Law, squared: Real) -> Real:
    return 4 * squared * law.mean_distance


def _swapped(law: Law, c: Constants) -> Real:
    return (sqrt(law.alpha_squared) * sqrt(law.residual_prev) + sqrt(law.beta_squared) * sqrt(law.residual_next)) ** 2


def _correlated(law: Law, c: Constants) -> Real:
    """(1 - r^2)(alpha^2 + beta^2 + 2 alpha beta |r|), r = 1 - e."""
    r = 1 - law.mean_distance
    cross = sqrt(law.alpha_squared) * sqrt(law.beta_squared) * greatest(r, -r)
    return (1 - r**2) * (law.alpha_squared + law.beta_squared + 2 * cross)


def _fano_least_ball(law: Law, c: Constants) -> Real:
    balls = [law.ball(j) for j in range(len(law.y))]
    return printed_fano(law, c, most=min(balls))


def _fano_short(law: Law, c: Constants) -> Real:
    balls = [law.ball(j) for j in range(len(law.y))]
    return printed_fano(law, c, rest=len(law.x) - max(balls))


def _by_counts(law: Law, c: Constants) -> Real:
    counts = [F(law.ball(j), len(law.x)) for j in range(len(law.y))]
    return printed_information(law, c, balls=counts)


def _by_least(law: Law, c: Constants) -> Real:
    far = law.tail(law.t)
    balls = [law.ball_prob(i) for i in range(len(law.x))]
    return -times_log(1 - far, min(balls)) - times_log(far, 1 - min(balls)) - _entropy_of_tail(law)


def _entropy_of_tail(law: Law) -> Real:
    """H2(P_t)."""
    far = law.tail(law.t)
    return -times_log(far, far) - times_log(1 - far, 1 - far)


def _prop1(needs: tuple[str, ...], family: str) -> Statement:
    return _s("tail.printed_upper [printed, on cosine distance]").but(needs=needs, families=(family,))


def _gap_of_performance(law: Law, c: Constants) -> Real:
    difference = law.mmse_prev - law.mmse_next
    return greatest(difference, -difference)


def _with_foresight(statement: Statement, upper: bool) -> Statement:
    return statement.but(left=lambda law, c: betting(law, c, upper=upper, foresight=True), families=("eight coins",))


def _mutants() -> Iterator[tuple[str, str, str, Statement]]:
    yield (
        "M1",
        "lemmas.squared_triangle_upper",
        "constant 1.9 for 2",
        _s("lemmas.squared_triangle_upper").with_constants(a=F(19, 10)),
    )
    yield (
        "M2a",
        "lemmas.squared_distance_of_cosine",
        "E|X-Y|^2 = E rho",
        _s("lemmas.squared_distance_of_cosine").with_constants(a=F(1)),
    )
    yield (
        "M2b",
        "lemmas.squared_distance_of_cosine",
        "E|X-Y|^2 = 2 E rho without unit norm",
        _cosine_not_unit("lemmas.squared_distance_of_cosine"),
    )
    yield "M3", "lemmas.squared_sum_upper", "constant 2 for 3", _s("lemmas.squared_sum_upper").with_constants(a=F(2))
    yield (
        "M4",
        "lemmas.divergence_information",
        "without the Markov chain",
        _s("lemmas.divergence_information").without(_PRINTED),
    )
    yield (
        "M5",
        "tail.printed_upper",
        "Proposition 1 as printed on cosine distance, range [0, 2]",
        _s("tail.printed_upper [printed, on cosine distance]"),
    )
    yield (
        "M6",
        "tail.printed_upper",
        "P[rho > t] < eps/(1-t) gives E rho < eps",
        _prop1(("distances up to one", "weak tail premise"), "half and one"),
    )
    yield (
        "M7",
        "tail.printed_upper",
        "Proposition 1 with t > 1",
        _prop1(("distances up to one", "tail premise, any t"), "surely one"),
    )
    minkowski = _s("lipschitz.minkowski_upper")
    yield (
        "M8a",
        "lipschitz.minkowski_upper",
        "F <= (alpha^2 + beta^2) E|X-Y|^2",
        minkowski.but(right=lambda law, c: (law.alpha_squared + law.beta_squared) * law.squared_distance),
    )
    yield (
        "M8b",
        "lipschitz.minkowski_upper",
        "F <= 2 max(alpha, beta)^2 E|X-Y|^2",
        minkowski.but(right=lambda law, c: 2 * greatest(law.alpha_squared, law.beta_squared) * law.squared_distance),
    )
    yield (
        "M8c",
        "lipschitz.unit_norm_upper",
        "F <= (alpha + beta)^2 E rho",
        _s("lipschitz.unit_norm_upper").but(right=lambda law, c: lipschitz_sum(law) * law.mean_distance),
    )
    printed = _s("lipschitz.printed_upper")
    yield (
        "M9a",
        "lipschitz.printed_upper",
        "F <= 4 alpha^2 E rho, beta dropped",
        printed.but(right=lambda law, c: _one_constant(law, law.alpha_squared)),
    )
    yield (
        "M9b",
        "lipschitz.printed_upper",
        "F <= 4 beta^2 E rho, alpha dropped",
        printed.but(right=lambda law, c: _one_constant(law, law.beta_squared)),
    )
    yield "M10", "lipschitz.printed_upper", "without unit norm", _cosine_not_unit("lipschitz.printed_upper")
    yield "M11a", "lipschitz.printed_upper", "Theorem 1 with < for <=", _s("lipschitz.printed_upper [printed, strict]")
    yield "M11b", "plug_in.printed_upper", "Theorem 2 with < for <=", _s("plug_in.printed_upper [printed, strict]")
    yield "M12", "lipschitz.residual_upper", "residuals swapped", _s("lipschitz.residual_upper").but(right=_swapped)
    yield "M13a", "plug_in.printed_upper", "constant 1 for 3", _s("plug_in.printed_upper").with_constants(a=F(1))
    yield (
        "M13b",
        "plug_in.printed_upper",
        "constant 2.9 for 3",
        _s("plug_in.printed_upper [with F]").with_constants(a=F(29, 10)),
    )
    fano = _s("fano.printed_upper")
    yield "M14", "fano.printed_upper", "without the binary entropy", fano.with_constants(a=F(0))
    yield "M15", "fano.printed_upper", "log N_min for log N_max", fano.but(right=_fano_least_ball)
    yield (
        "M16",
        "fano.printed_upper",
        "open balls with a strict tail",
        fano.but(right=lambda law, c: printed_fano(law, c, open_balls=True), families=("two points, open balls",)),
    )
    yield (
        "M17",
        "fano.printed_upper",
        "K - N_max for K - N_min",
        fano.but(right=_fano_short, families=("star, leaf known", *fano.families)),
    )
    yield (
        "M18",
        "braun_pokutta.printed_lower",
        "ball counts N/K for probabilities",
        _s("braun_pokutta.printed_lower").but(left=_by_counts),
    )
    yield (
        "M19",
        "braun_pokutta.printed_lower",
        "binary entropy added, not subtracted",
        _s("braun_pokutta.printed_lower").with_constants(d=F(-1)),
    )
    yield "M20", "braun_pokutta.printed_lower", "p_min for p_max", _s("braun_pokutta.printed_lower").but(left=_by_least)
    for letter, name, value in (("a", "1", F(1)), ("b", "1.44", F(36, 25))):
        yield (
            f"M21{letter}",
            "pinsker.printed_upper",
            f"constant {name} for 2",
            _s("pinsker.printed_upper").with_constants(a=value),
        )
    yield (
        "M21c",
        "pinsker.printed_upper",
        "entropy to base 10",
        _s("pinsker.printed_upper").but(right=lambda law, c: 2 * law.norm_squared * law.forward_entropy / log(F(10))),
    )
    yield (
        "M22",
        "pinsker.printed_upper",
        "under the natural chain",
        _s("pinsker.printed_upper [printed, natural chain]"),
    )
    yield (
        "M23",
        "pinsker.chain_information_upper",
        "Delta^2/4 for Delta^2/2",
        _s(f"pinsker.chain_information_upper [{_PRINTED}]").with_constants(a=F(1, 4)),
    )
    yield "M24", "claim.unique_information_gap", "unique information bounds F", _s("claim.unique_information_gap")
    yield (
        "M25",
        "lemmas.self_unique_information",
        "Uni(X : X \\ Y) = H(X)",
        _s("lemmas.self_unique_information").but(right=lambda law, c: law.entropy("x"), relation="="),
    )
    yield (
        "M26",
        "claim.proximal_informational",
        "proximal implies informational",
        _s("claim.proximal_informational"),
    )
    yield (
        "M27",
        "claim.information_redundancy",
        "much information leaves little entropy",
        _s("claim.information_redundancy"),
    )
    yield (
        "M28",
        "performance_gap.performance_gap_upper",
        "|mmse_prev - mmse_next| <= (Delta^2/2) I(Z;X|Y)",
        _s("performance_gap.performance_gap_upper [information]").but(
            left=_gap_of_performance, families=("constant next",)
        ),
    )
    yield (
        "M29",
        "mismatch.mismatch_upper_of_diameter",
        "kappa = Delta^2 for vector tasks",
        _s("mismatch.mismatch_upper_of_diameter [scalar or one-hot]").without("scalar or one-hot"),
    )
    yield (
        "M30a",
        "claim.codes_bound_entropy",
        "H(X|Y) <= H(code X | code Y)",
        _s("claim.codes_bound_entropy [raw states]"),
    )
    yield "M30b", "claim.information_chain", "I(Z;X|Y) <= I(Z;X)", _s("claim.information_chain")
    yield (
        "M31a",
        "claim.token_intervals",
        "intervals over tokens cover",
        _s("claim.token_intervals [coverage]"),
    )
    yield (
        "M31b",
        "claim.token_intervals",
        "shuffling within an image gives independent pairs",
        _s("claim.token_intervals [shuffle]"),
    )
    yield (
        "M32",
        "lipschitz.unit_norm_upper",
        "F <= (1-r^2)(alpha^2 + beta^2 + 2 alpha beta |r|), r = 1 - e",
        _s("lipschitz.unit_norm_upper").but(right=_correlated, families=("flip at right angles",)),
    )
    # ---- not in the specification: other slips that the same formulas invite
    yield (
        "M33",
        "tail.strict_tail_upper",
        "P[rho >= t] <= P[rho > t]",
        _s("tail.strict_tail_upper").but(
            left=lambda law, c: law.closed_tail(law.t), right=lambda law, c: law.tail(law.t)
        ),
    )
    yield (
        "M34",
        "claim.informational_generalises_functional",
        "informational redundancy implies functional redundancy",
        _s("claim.informational_generalises_functional"),
    )
    for side in ("upper", "lower"):
        statement = _s(f"concentration.betting_{side}")
        yield (
            f"M35{side[0]}",
            statement.theorem,
            "the bet depends on the value it is placed on",
            _with_foresight(statement, side == "upper"),
        )
    yield (
        "M36",
        "pinsker.free_information_upper",
        "the cross term 2 sqrt(I I') dropped",
        _s("pinsker.free_information_upper").but(
            right=lambda law, c: c["a"] * law.diameter_squared * (law.information_next + law.information_prev)
        ),
    )
    yield (
        "M37",
        "plug_in.minkowski_bounds",
        "G <= F, the errors of the probes forgotten",
        _s("plug_in.minkowski_bounds [upper]").but(right=lambda law, c: sqrt(law.gap)),
    )


TERM_MUTANTS: tuple[tuple[str, str, str, Statement], ...] = tuple(_mutants())
