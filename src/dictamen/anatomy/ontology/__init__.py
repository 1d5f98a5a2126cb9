"""Ontologies of anatomy (UBERON, FMA and others in OBO or OWL) read into concepts."""
