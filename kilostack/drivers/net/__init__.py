"""Networks on a host: the laptop's fabric, and the driver of bridges, firewall, DHCP and routers with its twin.

Nothing is imported here: the supervisor imports `fabric` alone and must stay small.
"""
