"""What a host offers to placement, from what its agent says of it."""

from __future__ import annotations

from typing import Final

from kilostack.wire.compute import HostFacts
from kilostack.wire.placement_calls import Inventory

#: how often each unit of a class is given out
RATIOS: Final = {"VCPU": 16.0, "MEMORY_MB": 1.5, "DISK_GB": 1.0}
#: what a host keeps for itself and for the processes of the cloud
RESERVED_MEMORY_MIB: Final = 512


def inventories(facts: HostFacts) -> dict[str, Inventory]:
    """The inventories of a host. A host with less memory than is kept back offers none."""
    reserved = min(RESERVED_MEMORY_MIB, facts.memory_mib)
    return {
        "VCPU": Inventory(total=facts.vcpus, allocation_ratio=RATIOS["VCPU"]),
        "MEMORY_MB": Inventory(total=facts.memory_mib, reserved=reserved, allocation_ratio=RATIOS["MEMORY_MB"]),
        "DISK_GB": Inventory(total=facts.disk_gib, allocation_ratio=RATIOS["DISK_GB"]),
    }
