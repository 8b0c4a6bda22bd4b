"""Settings of the whole test run that must stand before numpy and torch are imported."""

import logging
import os
import sys
from typing import NamedTuple

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; two threads in each would spend the time waiting for one another.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def skip_it(monkeypatch, capsys, tmp_path):
    """Run the console script in this process, in a folder of its own; exit code, output and error stream."""
    from redundancy.commands.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["skip-it", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Done(code, out, err)

    yield run
    # The library keeps the stream it first met, by two ways; this one is closed when the test is over.
    for handler in logging.getLogger("transformers").handlers:
        if type(handler) is logging.StreamHandler:
            vars(handler).pop("flush", None)
            handler.stream = sys.__stderr__
