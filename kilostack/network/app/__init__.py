"""What callers may do: authorize, decide, write."""
