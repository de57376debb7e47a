"""Where a server goes: a pure choice over columns of numbers, and the claim that makes it so."""
