"""Records and pure decisions of network."""
