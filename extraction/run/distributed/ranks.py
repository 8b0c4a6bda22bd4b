"""Which part of the work is this process's: RANK, WORLD_SIZE and LOCAL_RANK, as torchrun sets them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from redundancy.errors import InvalidInputError

__all__ = ["default_shard", "local_device", "rank_and_world"]


def rank_and_world(environment: Mapping[str, str] | None = None) -> tuple[int, int] | None:
    """RANK and WORLD_SIZE of this process; None if neither is set.

    Parameters
    ----------
    environment : mapping of str to str, optional
        That of the process by default.

    Returns
    -------
    (int, int) or None

    Raises
    ------
    InvalidInputError
        If only one is set, or they are no 0 <= rank < size.

    Examples
    --------
    >>> rank_and_world({"RANK": "3", "WORLD_SIZE": "8"}), rank_and_world({})
    ((3, 8), None)
    """
    values = os.environ if environment is None else environment
    rank, size = values.get("RANK"), values.get("WORLD_SIZE")
    if rank is None and size is None:
        return None
    try:
        found = int(str(rank)), int(str(size))
    except ValueError:
        found = -1, 0
    if not 0 <= found[0] < found[1]:
        raise InvalidInputError(
            f"need RANK and WORLD_SIZE with 0 <= RANK < WORLD_SIZE, got RANK={rank} and WORLD_SIZE={size}; set "
            "both, unset both, or pass --shard"
        )
    return found


def default_shard(environment: Mapping[str, str] | None = None) -> str:
    """The shard that is meant when none is given: "RANK/WORLD_SIZE" under a launcher, else "0/1".

    Parameters
    ----------
    environment : mapping of str to str, optional
        That of the process by default.

    Returns
    -------
    str
        As ``i/n``.
    """
    found = rank_and_world(environment)
    return "0/1" if found is None else f"{found[0]}/{found[1]}"


def local_device(device: str, n_devices: int, environment: Mapping[str, str] | None = None) -> str:
    """Give "cuda" the number of this process on its machine, so that neighbours do not share one device.

    Parameters
    ----------
    device : str
        A torch device; only "cuda" is changed.
    n_devices : int
        CUDA devices of the machine.
    environment : mapping of str to str, optional
        With LOCAL_RANK under a launcher; that of the process by default.

    Returns
    -------
    str

    Examples
    --------
    >>> local_device("cuda", 4, {"LOCAL_RANK": "6"}), local_device("cuda", 4, {}), local_device("cpu", 0, {})
    ('cuda:2', 'cuda', 'cpu')
    """
    values = os.environ if environment is None else environment
    local = values.get("LOCAL_RANK", "")
    if device != "cuda" or not local.isdigit() or n_devices < 1:
        return device
    return f"cuda:{int(local) % n_devices}"
