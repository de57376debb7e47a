"""Ends the connections of hosts' agents and speaks for them to the services. Holds no database; any number may run."""
