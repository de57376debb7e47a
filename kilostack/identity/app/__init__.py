"""What callers may do to the records of identity, and how they prove who they are."""
