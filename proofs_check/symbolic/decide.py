"""Decide about expressions that proofs rely on: identically zero, never negative, sum of squares, of one sign.

Each answers True only with a certificate that is exact: an expansion, coefficients of one sign, a rational
factorisation of a Gram matrix, or a count of real roots (Sturm). False means "not decided", never "false".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import sympy as sp

__all__ = ["gram_squares", "never_negative", "sign_on_interval", "vanishes"]

Expr: TypeAlias = Any  # sympy expressions carry no types


def vanishes(expression: Expr) -> bool:
    """Whether an expression is identically zero, by expansion; logarithms of products of positive factors are split."""
    return _is_zero(sp.sympify(expression).replace(sp.log, _split_logarithm))


def _is_zero(expression: Expr) -> bool:
    return bool(sp.expand(expression) == 0) or bool(sp.cancel(sp.together(expression)) == 0)


def _split_logarithm(argument: Expr) -> Expr:
    """Logarithm of a positive number as that of its factors' absolute values, numbers by their primes."""
    total = sp.Integer(0)
    for factor in sp.Mul.make_args(sp.factor(sp.together(argument))):
        base, power = factor.as_base_exp()
        if base.is_Rational:
            primes = sp.factorint(abs(base.p)).items(), sp.factorint(base.q).items()
            total += power * sum((k * sp.log(prime) for prime, k in primes[0]), sp.Integer(0))
            total -= power * sum((k * sp.log(prime) for prime, k in primes[1]), sp.Integer(0))
        elif base == sp.E:
            total += power
        else:
            total += power * sp.log(-base if base.could_extract_minus_sign() else base)
    return total


def never_negative(expression: Expr) -> bool:
    """Whether an expression is >= 0 for all values of its symbols that their assumptions allow.

    Numerator and denominator must be products of powers and of polynomials whose coefficients, in symbols and
    roots known to be >= 0, are all >= 0.
    """
    expression = sp.sympify(expression)
    if expression.is_nonnegative:
        return True
    above, below = sp.fraction(sp.cancel(sp.together(expression)))
    return _one_sign(above) * _one_sign(below) > 0


def _one_sign(expression: Expr) -> int:
    """1 or -1 if the expression is known to be >= 0 or <= 0, else 0; zero counts as 1."""
    sign = 1
    for factor in sp.Mul.make_args(sp.factor(expression)):
        base, power = factor.as_base_exp()
        if power.is_even and base.is_real:
            continue
        terms = sp.Add.make_args(sp.expand(factor))
        if all(term.is_nonnegative for term in terms):
            continue
        if all(term.is_nonpositive for term in terms):
            sign = -sign
            continue
        return 0
    return sign


def gram_squares(form: Expr, variables: Sequence[Expr]) -> list[tuple[Expr, Expr]] | None:
    """A quadratic form with rational coefficients as ``sum weight * (linear form)^2``, weights > 0; None if it is not.

    Gram matrix and elimination are rational, so the sum of squares is an identity. It holds for vectors, too:
    read ``a*b`` as the scalar product.

    Examples
    --------
    >>> a, b = sp.symbols("a b", real=True)
    >>> gram_squares(a**2 - 2 * a * b + b**2, [a, b])
    [(1, a - b)]
    """
    polynomial = sp.Poly(sp.expand(form), *variables)
    if not polynomial.is_zero and not (polynomial.is_homogeneous and polynomial.total_degree() == 2):
        return None
    if not all(c.is_Rational for c in polynomial.coeffs()):
        return None
    size = len(variables)
    gram = sp.Matrix(
        size,
        size,
        lambda i, j: polynomial.coeff_monomial(variables[i] * variables[j]) / (1 if i == j else 2),
    )
    squares = []
    for k in range(size):
        pivot = gram[k, k]
        if pivot < 0 or (pivot == 0 and any(gram[k, j] != 0 for j in range(size))):
            return None
        if pivot == 0:
            continue
        row = gram[k, :] / pivot
        squares.append((pivot, sum((row[j] * variables[j] for j in range(size)), sp.Integer(0))))
        gram = gram - pivot * row.T * row
    rest = sp.expand(form - sum(w * s**2 for w, s in squares))
    return squares if rest == 0 else None


def sign_on_interval(expression: Expr, variable: Expr, lower: Expr, upper: Expr) -> int:
    """Sign of a polynomial with rational coefficients on the open interval, by Sturm's theorem; 0 if it changes."""
    polynomial = sp.Poly(expression, variable, domain="QQ")
    inner = polynomial.count_roots(lower, upper)
    inner -= sum(1 for end in {lower, upper} if polynomial.eval(end) == 0)
    if inner:
        return 0
    return int(sp.sign(polynomial.eval((sp.sympify(lower) + upper) / 2)))
