"""Training of networks that are asked in words, and grounding of reports; see docs/prompts.md."""
