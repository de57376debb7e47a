"""Records, states and pure decisions of compute."""
