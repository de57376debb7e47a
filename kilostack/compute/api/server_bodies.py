"""The body of a create, read; what this cloud does not have is refused by its name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from kilostack.compute.api.formats import address, flag, whole_number
from kilostack.compute.app.server_create import MOST_AT_ONCE, NewServer
from kilostack.core.errors import BadRequest
from kilostack.http.messages import Version
from kilostack.wire.network_calls import WantedNic

Body = Mapping[str, Any]
_HINTS = frozenset({"group", "same_host", "different_host", "query", "target_cell", "build_near_host_ip", "cidr"})


def new_server(document: Body, version: Version) -> NewServer:
    """What somebody asks for. Raises `BadRequest`."""
    body: Body = document["server"]
    _check_offered(document, body)
    image_id = _image(body)
    least, most = _counts(body)
    host, node = body.get("host"), body.get("hypervisor_hostname")
    if host and node and host != node:
        raise BadRequest(f"No hypervisor {node} is on host {host}.")
    name = str(body["name"]).strip()
    return NewServer(
        name=name,
        image_id=image_id,
        flavor_id=_last_part(str(body["flavorRef"])),
        nics=_nics(body.get("networks")),
        security_groups=tuple(dict.fromkeys(group["name"] for group in body.get("security_groups", ()) if group)),
        key_name=body.get("key_name"),
        user_data=_user_data(body.get("user_data")),
        metadata=dict(body.get("metadata", {})),
        zone=body.get("availability_zone"),
        host=host or node,
        least=least,
        most=most,
        # before it had a field of its own, the name was the description
        description=body.get("description") if version >= (2, 19) else name,
        hostname=body.get("hostname"),
        tags=tuple(dict.fromkeys(body.get("tags", ()))),
        disk_config=body.get("OS-DCF:diskConfig", "MANUAL"),
        access_ip_v4=address(body.get("accessIPv4", "")),
        access_ip_v6=address(body.get("accessIPv6", "")),
    )


def _check_offered(document: Body, body: Body) -> None:
    if body.get("personality"):
        raise BadRequest("Files cannot be injected into servers by this cloud: use user_data.", field="personality")
    if flag(body.get("config_drive", False)):
        raise BadRequest(
            "Config drives are not offered by this cloud: servers read the metadata service.", field="config_drive"
        )
    if body.get("trusted_image_certificates"):
        raise BadRequest("Image certificates are not checked by this cloud.", field="trusted_image_certificates")
    if body.get("block_device_mapping"):
        raise BadRequest("Volumes are not offered by this cloud.", field="block_device_mapping")
    for key in ("os:scheduler_hints", "OS-SCH-HNT:scheduler_hints"):
        for hint in document.get(key, {}):
            if hint in _HINTS:
                raise BadRequest(f"The scheduler hint {hint} is not offered by this cloud.", field=key)


def _image(body: Body) -> str:
    """The image to start from, named by imageRef or by the one local disk that clients describe instead."""
    image_id = _last_part(body.get("imageRef") or "")
    for device in body.get("block_device_mapping_v2", ()):
        source, boot = device.get("source_type"), device.get("boot_index")
        from_image = source == "image" and device.get("destination_type", "local") == "local"
        if not from_image or boot is None or int(boot) != 0:
            raise BadRequest(
                "Volumes and further disks are not offered by this cloud: block_device_mapping_v2 may only name the "
                "image as local disk with boot_index 0.",
                field="block_device_mapping_v2",
            )
        named = device.get("uuid") or device.get("image_id") or ""
        if image_id and named != image_id:
            raise BadRequest("imageRef and block_device_mapping_v2 name different images.", field="imageRef")
        image_id = named
    if not image_id:
        raise BadRequest("Invalid imageRef provided.", field="imageRef")
    return image_id


def _last_part(reference: str) -> str:
    """The id at the end of a reference, which may be a URL."""
    return reference.rstrip("/").rsplit("/", 1)[-1]


def _counts(body: Body) -> tuple[int, int]:
    least = whole_number(body.get("min_count", 1))
    most = whole_number(body.get("max_count", least))
    if least < 1 or most < 1:
        raise BadRequest("min_count and max_count must be 1 or more.", field="min_count")
    if least > most:
        raise BadRequest("min_count must be <= max_count", field="min_count")
    if most > MOST_AT_ONCE:
        raise BadRequest(f"At most {MOST_AT_ONCE} servers can be made at once.", field="max_count")
    return least, most


def _nics(networks: str | Sequence[Body] | None) -> tuple[WantedNic, ...] | None:
    if networks == "none":
        return ()
    if not networks or isinstance(networks, str):
        return None
    nics = []
    ports: set[str] = set()
    for network in networks:
        port, fixed_ip = network.get("port"), network.get("fixed_ip")
        if port is not None:
            if port in ports:
                raise BadRequest(
                    f"Port ID '{port}' was specified twice: you cannot attach a port multiple times.", field="networks"
                )
            if fixed_ip is not None:
                raise BadRequest(
                    f"Specified Fixed IP '{fixed_ip}' cannot be used with port '{port}': "
                    "the two cannot be specified together.",
                    field="networks",
                )
            ports.add(port)
            nics.append(WantedNic(port_id=port, tag=network.get("tag")))
        elif "uuid" in network:
            nics.append(WantedNic(network_id=network["uuid"], fixed_ip=fixed_ip, tag=network.get("tag")))
        else:
            raise BadRequest("Bad network format: missing uuid", field="networks")
    return tuple(nics)


def _user_data(text: str | None) -> str | None:
    if not text:
        return None
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(
            f"Invalid input for field/attribute user_data. Value: {text[:64]}. It is not a 'base64'",
            field="user_data",
        ) from None
    return text
