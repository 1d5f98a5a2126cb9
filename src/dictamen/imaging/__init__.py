"""Volumes with their geometry: reading and writing NIfTI, orientation, resampling."""
