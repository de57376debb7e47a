"""Messages between processes: structs that both ends share, and how they are framed."""
