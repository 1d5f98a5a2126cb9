"""Training: batches of masked and reported patches, the loop, checkpoints, validation."""
