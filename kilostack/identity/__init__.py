"""Who there is, what they may act on, and where the services are: the identity v3 API."""
