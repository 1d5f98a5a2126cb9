"""The folder in which nnU-Net looks for trainers by name."""
