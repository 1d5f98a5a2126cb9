"""Measuring predictions: overlap, surfaces, lesions, whole studies; against masks or against reports alone."""
