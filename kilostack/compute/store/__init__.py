"""SQL of compute."""
