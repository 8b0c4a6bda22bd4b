"""The ledger of looks: which choices the same data served before, kept on this machine beside the data's digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redundancy.errors import StoreError

__all__ = ["ledger_folder", "record_look"]


def ledger_folder() -> Path:
    """Folder of the ledger: ``$SKIP_IT_STATE``, else ``skip-it/looks`` in the user's folder for state."""
    own = os.environ.get("SKIP_IT_STATE")
    if own:
        return Path(own) / "looks"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "skip-it" / "looks"


def record_look(folder: Path, *, data: str, run: str, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Note that the data served a choice, and return the earlier choices they served.

    A guarantee holds for one choice on fresh data. Whoever makes several on the same data, and keeps the one that
    pleases, has looked more than once; no file of a single run could tell.

    Parameters
    ----------
    folder : Path
        Of the ledger; made if it is not there.
    data : str
        Digest of the data.
    run : str
        Digest of the run: the same run, resumed, is no other look.
    entry : mapping
        JSON values that say what was chosen by.

    Returns
    -------
    list of dict
        Looks of other runs at these data, in the order of time, each with its day under "when".

    Raises
    ------
    StoreError
        If the ledger cannot be read or written.
    """
    path = folder / f"{hashlib.sha256(data.encode()).hexdigest()[:32]}.jsonl"
    line = {"run": run, "when": datetime.now(UTC).date().isoformat(), **entry}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _read(path)
        if all(look["run"] != run for look in known):
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, allow_nan=False) + "\n")
    except OSError as error:
        raise StoreError(
            f"need a ledger of looks that can be written, {path} gives: {error.strerror or error}; set SKIP_IT_STATE "
            "to another folder"
        ) from None
    mine = next((k for k, look in enumerate(known) if look["run"] == run), len(known))
    return [{name: value for name, value in look.items() if name != "run"} for look in known[:mine]]


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    looks = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            look = json.loads(line)
        except ValueError:
            continue  # a line cut short when its run was killed; its look had not ended in a choice
        if isinstance(look, dict) and "run" in look:
            looks.append(look)
    return looks
