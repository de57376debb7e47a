"""SQL of network: a change of a resource, with all that follows from it, is one function here."""
