"""The package's names: all there, loaded on first use, and nothing heavy before."""

import subprocess
import sys

import pytest

import estimators


def test_every_name_loads():
    for name in estimators.__all__:
        assert getattr(estimators, name).__name__ == name
    assert set(estimators.__all__) <= set(dir(estimators))
    with pytest.raises(AttributeError, match="attribute magic"):
        _ = estimators.magic


def test_importing_is_light():
    code = "import sys, estimators; assert not {'numpy', 'sklearn', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
