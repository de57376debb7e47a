"""Vocabulary that every other package may use."""
