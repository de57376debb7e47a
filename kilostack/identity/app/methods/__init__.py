"""The ways to show who one is."""
