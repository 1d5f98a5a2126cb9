"""Prediction of whole studies: label maps on the image's own grid, lesions, scores."""
