"""A bound of a user's own with its proof, statement, rule and mutant in one file: the recipe of docs/proofs.md."""

from fractions import Fraction

from proofs_check.extremal import make
from proofs_check.recheck.record import Claim
from proofs_check.statements import Statement
from proofs_check.symbolic.draft import Draft
from redundancy.certificates.certificate import Assumption, Bound, as_interval, bound
from redundancy.interval import Interval, round_up

RANGE = Assumption("distance_range", "distances lie in [0, 2]")


@bound(
    title="Second moment of the distance",
    statement="0 <= rho <= 2: E rho^2 <= 2 E rho",
    deviation="Not in the paper: what a large distance may cost, from the mean alone.",
)
def second_moment_upper(*, mean_distance) -> Bound:
    """E rho^2 <= 2 E rho for distances in [0, 2]; attained on {0, 2}.

    Parameters
    ----------
    mean_distance : float, Interval or certificate
        E rho.
    """
    upper = as_interval(mean_distance, name="mean_distance", within=Interval(0.0, 2.0)).upper
    return Bound(
        quantity="second_moment",
        interval=Interval(0.0, min(round_up(2.0 * upper), 4.0)),
        trivial=Interval(0.0, 4.0),
        assumptions=(RANGE,),
    )


ID = "own_theorem.second_moment_upper"

STATEMENTS = (
    Statement(
        theorem=ID,
        claim="E rho^2 <= a E rho",
        left=lambda law, c: law.mean(lambda i, j: law.distance(i, j) ** 2),
        right=lambda law, c: c["a"] * law.mean_distance,
        needs=("distance table", "range"),
        constants={"a": Fraction(2)},
        families=("zero or two",),
    ),
)
FAMILIES = {
    "zero or two": lambda: [
        make({(0, 0, 0): Fraction(1, 2), (1, 0, 0): Fraction(1, 2)}, (0, 1), (0,), rho=((0,), (2,))),
    ]
}


def _proof(factor=2):
    import sympy as sp

    rho, mean, square = sp.symbols("rho e s", nonnegative=True)
    draft = Draft("square below twice the distance", e="E rho", s="E rho^2")
    draft.assume("range", rho**2, "<=", 2 * rho, "0 <= rho <= 2")
    draft.mean("averaged", "range", square, 2 * mean, {square: rho**2, mean: rho})
    draft.combine("statement", square, factor * mean, {"averaged": 1})
    draft.attained("best", square, factor * mean, {square: 2, mean: 1}, "rho = 0 or 2, each half of the time")
    return draft.done(ID, "statement")


PROOFS = {ID: _proof}
MUTANTS = (("own 1", ID, "E rho^2 <= E rho", STATEMENTS[0].with_constants(a=Fraction(1))),)


def _rule(given):
    upper = min(2 * given.evidence("mean_distance", 0, 2)[1], Fraction(4))
    own = (("distance_range", "distances lie in [0, 2]", "declared"),)
    return Claim(quantity="second_moment", lower=Fraction(0), upper=upper, trivial=(Fraction(0), Fraction(4)),
                 assumptions=own)  # fmt: skip


RULES = {ID: _rule}
