"""What produces the numbers of SPEC.md."""
