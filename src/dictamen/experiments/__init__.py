"""Arms trained alike on one cohort and compared; the demo."""
