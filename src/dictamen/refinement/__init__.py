"""Refiners of masks, trained from region scores: cases, training, application."""
