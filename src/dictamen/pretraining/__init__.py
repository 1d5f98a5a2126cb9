"""Pretraining from pairs of scan and report."""
