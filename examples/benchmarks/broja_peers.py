"""The same BROJA problem handed to BROJA_2PID (as ported in dit), ECOS, Clarabel and dit's default.

`solve_2pid` runs the solver class that dit ships, "following the BROJA_2PID reference implementation" (Makkeh, Theis
and Vicente 2018): the package itself is not on the index. `solve_ecos` and `solve_clarabel` are a leaner statement of
the same cone program (2 instead of 3 variables a cell, matrices built without Python loops): a harder comparison.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def cone_program(joint):
    a, b = joint.sum(2), joint.sum(1)
    t, x, y = np.nonzero((a > 0)[:, :, None] & (b > 0)[:, None, :])
    n = len(t)
    cell = x * joint.shape[2] + y
    used, cell = np.unique(cell, return_inverse=True)
    cell = cell.ravel()
    # Variables: r (n), q (n). s is the sum of q over the cell.
    q = np.arange(n)
    share = sp.csr_matrix((np.ones(n), (cell, q)), shape=(len(used), n))[cell]
    rows_a = np.unique(t * joint.shape[1] + x, return_inverse=True)[1].ravel()
    rows_b = np.unique(t * joint.shape[2] + y, return_inverse=True)[1].ravel()
    left = sp.csr_matrix((np.ones(n), (rows_a, q)))
    right = sp.csr_matrix((np.ones(n), (rows_b, q)))
    equal = sp.hstack([sp.csr_matrix((left.shape[0] + right.shape[0], n)), sp.vstack([left, right])]).tocsc()
    target = np.concatenate([a[a > 0], b[b > 0]])
    cost = np.concatenate([-np.ones(n), np.zeros(n)])
    return n, (t, x, y), share, equal, target, cost


def _full(values, where, shape):
    out = np.zeros(shape)
    out[where] = np.maximum(values, 0.0)
    return out


def solve_ecos(joint):
    import ecos

    n, where, share, equal, target, cost = cone_program(joint)
    eye, zero = sp.identity(n, format="csr"), sp.csr_matrix((n, n))
    # ECOS orders an exponential cone (x, y, z) with exp(x / z) <= y / z.
    stacked = sp.vstack([sp.hstack([-eye, zero]), sp.hstack([zero, -share]), sp.hstack([zero, -eye])]).tocsr()
    order = np.arange(3 * n).reshape(3, n).T.ravel()
    answer = ecos.solve(
        cost, stacked[order].tocsc(), np.zeros(3 * n), {"e": n}, A=equal, b=target, verbose=False, max_iters=200
    )
    return _full(answer["x"][n:], where, joint.shape), answer["info"]["infostring"]


def solve_2pid(joint):
    from dit.algorithms.broja_cone import _BrojaConeSolver

    a, b = joint.sum(2), joint.sum(1)
    pairs = [{index: float(law[index]) for index in zip(*np.nonzero(law), strict=True)} for law in (a, b)]
    solver = _BrojaConeSolver(*pairs)
    solver.create_model()
    solver.solve()
    out = np.zeros(joint.shape)
    for index, triple in enumerate(solver.trip_of_idx):
        out[triple] = max(solver.sol_rpq[3 * index + 2], 0.0)
    return out, "returned"


def solve_clarabel(joint):
    import clarabel

    n, where, share, equal, target, cost = cone_program(joint)
    eye, zero = sp.identity(n, format="csr"), sp.csr_matrix((n, n))
    # Clarabel orders it (x, y, z) with y exp(x / y) <= z.
    stacked = sp.vstack([sp.hstack([-eye, zero]), sp.hstack([zero, -eye]), sp.hstack([zero, -share])]).tocsr()
    order = np.arange(3 * n).reshape(3, n).T.ravel()
    matrix = sp.vstack([equal, stacked[order]]).tocsc()
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    cones = [clarabel.ZeroConeT(len(target)), *[clarabel.ExponentialConeT()] * n]
    solver = clarabel.DefaultSolver(
        sp.csc_matrix((2 * n, 2 * n)), cost, matrix, np.concatenate([target, np.zeros(3 * n)]), cones, settings
    )
    answer = solver.solve()
    return _full(np.array(answer.x)[n:], where, joint.shape), str(answer.status)


def solve_scs(joint):
    """SCS is of first order: stopped after 5,000 iterations, most often before the 1e-7 it is asked for."""
    import scs

    n, where, share, equal, target, cost = cone_program(joint)
    eye, zero = sp.identity(n, format="csr"), sp.csr_matrix((n, n))
    stacked = sp.vstack([sp.hstack([-eye, zero]), sp.hstack([zero, -eye]), sp.hstack([zero, -share])]).tocsr()
    order = np.arange(3 * n).reshape(3, n).T.ravel()
    data = {
        "A": sp.vstack([equal, stacked[order]]).tocsc(),
        "b": np.concatenate([target, np.zeros(3 * n)]),
        "c": cost,
    }
    cones = {"z": len(target), "ep": n}
    answer = scs.SCS(data, cones, eps_abs=1e-7, eps_rel=1e-7, max_iters=5_000, verbose=False).solve()
    return _full(answer["x"][n:], where, joint.shape), answer["info"]["status"]


def solve_dit(joint):
    """Dit's default PID_BROJA; its unique information of x, since it returns no coupling."""
    import dit

    outcomes = [(str(x), str(y), str(t)) for t, x, y in zip(*np.nonzero(joint), strict=True)]
    law = dit.Distribution(outcomes, list(joint[np.nonzero(joint)]))
    pid = dit.pid.PID_BROJA(law, [[0], [1]], [2])
    return float(pid.get_pi(((0,),))), "returned"


PEERS = {"broja_2pid": solve_2pid, "ecos": solve_ecos, "clarabel": solve_clarabel}
