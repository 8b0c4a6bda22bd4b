"""Probes of a task on hidden states: streaming ridge, kernel, MLP and calibrated classification.

They keep the scikit-learn estimator contract. A Lipschitz constant given here is a property of the fitted
probe, never of the ideal predictor it stands for.
"""
