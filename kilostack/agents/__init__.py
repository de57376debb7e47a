"""The parts of the agent that runs on each host."""
