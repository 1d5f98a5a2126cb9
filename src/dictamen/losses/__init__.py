"""Losses on logits and supervision, each a pure function on tensors with a thin module."""
