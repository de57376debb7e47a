"""Use cases of compute: authorize, decide, write, enqueue."""
