"""The command line: what a person types to start, look at and stop a cloud."""
