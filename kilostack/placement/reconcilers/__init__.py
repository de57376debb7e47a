"""Loops of placement."""
