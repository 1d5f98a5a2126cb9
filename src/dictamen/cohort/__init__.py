"""Cohorts: studies of many layouts checked, brought onto one grid and stored in chunks."""
