"""Loops that keep compute's records true."""
