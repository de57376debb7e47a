"""The small process that starts the control plane and the agents, keeps them running, and outlives the terminal."""
