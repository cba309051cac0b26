"""Fit the model folder's estimator and save it as an MLflow model folder whose bytes depend on its content only."""
