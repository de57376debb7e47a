"""Guests on one host: the port, QEMU, and the simulated twin."""
