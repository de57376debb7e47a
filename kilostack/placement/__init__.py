"""What hosts have and who uses it: providers, inventories and allocations, never more used than there is."""
