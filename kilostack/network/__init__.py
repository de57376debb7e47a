"""Networks, subnets, ports, routers, floating IPs and security groups: the network API, and what hosts make of it."""
