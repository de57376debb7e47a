"""The compute part of a host's agent: makes the guests of this host what they should be."""
