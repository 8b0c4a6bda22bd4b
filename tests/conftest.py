"""Settings of the whole test run that must stand before numpy and torch are imported."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; two threads in each would spend the time waiting for one another.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
