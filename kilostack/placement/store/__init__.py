"""SQL of placement."""
