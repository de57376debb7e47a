"""Loops that repair what others left behind."""
