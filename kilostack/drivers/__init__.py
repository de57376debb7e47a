"""Adapters to the world, each with its simulated twin."""
