"""Generated CT-like studies with masks and reports, for the demo and for tests."""
