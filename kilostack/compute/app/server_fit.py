"""Does what is asked for fit together?"""

from __future__ import annotations

from kilostack.compute.model.records import Flavor
from kilostack.core.errors import BadRequest
from kilostack.wire.image_calls import ImageFacts
from kilostack.wire.network_calls import WantedNic

_GIB = 1 << 30
_FORMATS = ("qcow2", "raw")


def check_fit(image: ImageFacts, flavor: Flavor) -> None:
    """Raise `BadRequest` unless a server of the flavor can start from the image."""
    if image.status != "active":
        raise BadRequest(f"Image {image.id} is not active.")
    if image.disk_format not in _FORMATS:
        raise BadRequest(
            f"Image {image.id} is unacceptable: servers start from {' or '.join(_FORMATS)}, not {image.disk_format}."
        )
    if flavor.memory_mib < image.min_ram_mib:
        raise BadRequest("Flavor's memory is too small for requested image.")
    if flavor.disk_gib == 0:
        return
    disk = flavor.disk_gib * _GIB
    size = image.virtual_size_bytes or image.size_bytes
    if size > disk:
        raise BadRequest(
            f"Flavor's disk is too small for requested image. Flavor disk is {disk} bytes, image is {size} bytes."
        )
    if image.min_disk_gib * _GIB > disk:
        raise BadRequest(
            f"Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is {disk} bytes, "
            f"minimum size is {image.min_disk_gib * _GIB} bytes."
        )


def check_single(hostname: str | None, nics: tuple[WantedNic, ...] | None, servers: int) -> None:
    """Raise `BadRequest` when what only one server can have is asked for several."""
    if servers == 1:
        return
    if hostname is not None:
        raise BadRequest("Unable to allocate a single hostname to multiple instances", field="hostname")
    for nic in nics or ():
        if nic.port_id is not None:
            raise BadRequest(
                "Unable to launch multiple instances with a single configured port ID. "
                "Please launch your instance one by one with different ports.",
                field="networks",
            )
        if nic.fixed_ip is not None:
            raise BadRequest("max_count cannot be greater than 1 if an fixed_ip is specified.", field="networks")
