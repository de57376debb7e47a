"""Hints between processes: "look now". They may be lost, doubled and late; the database is the truth."""
