"""Compute: servers, and what belongs to them."""
