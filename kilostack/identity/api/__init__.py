"""The identity v3 API over HTTP."""
