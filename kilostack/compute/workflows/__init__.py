"""Sagas of compute, one per file."""
