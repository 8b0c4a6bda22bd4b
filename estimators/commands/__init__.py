"""Commands of the estimators."""
