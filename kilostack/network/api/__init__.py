"""The public network API v2.0."""
