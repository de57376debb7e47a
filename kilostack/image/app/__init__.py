"""What callers may do to images."""
