"""Probes of a task on hidden states: streaming ridge, kernel, MLP and calibrated classification.

They keep the scikit-learn estimator contract. A Lipschitz constant given here is a property of the fitted
probe, never of the ideal predictor it stands for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
