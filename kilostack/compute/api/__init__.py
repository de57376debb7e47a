"""HTTP in and out of compute."""
