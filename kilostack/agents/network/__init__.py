"""The network part of a host's agent: ports, DHCP, routers and metadata as the control plane wants them."""
