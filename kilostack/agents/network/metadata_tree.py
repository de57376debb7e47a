"""What a guest may read about itself: the OpenStack and the EC2 tree, as upstream's metadata service lays them out."""

from __future__ import annotations

import base64
import binascii
import json
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from urllib.parse import unquote

from kilostack.wire.compute import Guest
from kilostack.wire.network import Network, Port, Subnet, tap_name

OPENSTACK_VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
)
EC2_VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
)

TEXT = "text/plain; charset=UTF-8"
JSON = "application/json"

#: An EC2 leaf or directory.
Tree = str | list[str] | dict[str, "Tree"]


@dataclass(frozen=True, slots=True)
class Document:
    """An answer with 200."""

    body: bytes
    content_type: str = TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One guest, with what its host knows about its network."""

    guest: Guest
    #: its ports, in the order of its cards
    ports: tuple[Port, ...]
    networks: Mapping[str, Network]
    #: floating IP of its first address, "" when this host knows of none
    floating_ip: str = ""
    #: 512 bytes that nobody else knows
    seed: Callable[[], bytes]


def find(view: View, path: str) -> Document | None:
    """The document at `path`; None is 404."""
    tokens = [token for token in posixpath.normpath("/" + unquote(path).lstrip("/")).split("/") if token]
    if tokens[:1] == ["openstack"]:
        return _openstack(view, tokens[1:])
    return _ec2(view, tokens[1:] if tokens[:1] == ["ec2"] else tokens)


# The OpenStack tree.


def _openstack(view: View, tokens: list[str]) -> Document | None:
    if not tokens:
        return _lines([*OPENSTACK_VERSIONS, "latest"])
    version = OPENSTACK_VERSIONS[-1] if tokens[0] == "latest" else tokens[0]
    if version not in OPENSTACK_VERSIONS:
        return None
    documents: dict[str, Callable[[], Document]] = {"meta_data.json": lambda: _json(meta_data(view, version))}
    if (user_data := _user_data(view)) is not None:
        documents["user_data"] = lambda: Document(user_data)
    if version >= "2013-10-17":
        documents["vendor_data.json"] = lambda: _json({})
    if version >= "2015-10-15":
        documents["network_data.json"] = lambda: _json(network_data(view))
    if version >= "2016-10-06":
        documents["vendor_data2.json"] = lambda: _json({"static": {}})
    if len(tokens) == 1:
        return _lines(list(documents))
    found = documents.get("/".join(tokens[1:]))
    return found() if found else None


def meta_data(view: View, version: str) -> dict[str, Any]:
    """The body of meta_data.json."""
    about = view.guest.metadata
    found: dict[str, Any] = {
        "uuid": view.guest.id,
        "availability_zone": about.availability_zone,
        "hostname": about.hostname,
        "launch_index": about.launch_index,
        "name": about.name,
    }
    if about.meta:
        found["meta"] = about.meta
    if about.keys:
        found["public_keys"] = about.keys
        if version >= "2015-10-15":
            found["keys"] = [{"name": name, "type": "ssh", "data": key} for name, key in about.keys.items()]
    if version >= "2013-04-04":
        found["random_seed"] = base64.b64encode(view.seed()).decode("ascii")
    if version >= "2015-10-15":
        found["project_id"] = about.project_id
    if version >= "2016-06-30":
        found["devices"] = []
    if version >= "2020-10-14":
        found["dedicated_cpus"] = []
    return found


def network_data(view: View) -> dict[str, Any]:
    """The body of network_data.json."""
    links: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    services: list[dict[str, str]] = []
    for port in view.ports:
        network = view.networks.get(port.network_id)
        if network is None:
            continue
        tap = tap_name(port.id)
        links.append(
            {
                "id": tap,
                "vif_id": port.id,
                "type": "bridge",
                "mtu": network.mtu,
                "ethernet_mac_address": port.mac,
            }
        )
        subnets = {subnet.id: subnet for subnet in network.subnets}
        for subnet_id, address in port.fixed_ips:
            if (subnet := subnets.get(subnet_id)) is None:
                continue
            networks.append({"id": f"network{len(networks)}", **_address(subnet, address, network, tap)})
            for server in subnet.dns_nameservers:
                service = {"type": "dns", "address": server}
                if service not in services:
                    services.append(service)
    return {"links": links, "networks": networks, "services": services}


def _address(subnet: Subnet, address: str, network: Network, tap: str) -> dict[str, Any]:
    family = f"ipv{subnet.ip_version}"
    found: dict[str, Any] = {"link": tap, "network_id": network.id}
    if subnet.enable_dhcp and subnet.ip_version == 4:
        return {**found, "type": f"{family}_dhcp"}
    routes = [_route(to, via) for to, via in subnet.host_routes]
    if subnet.gateway_ip:
        routes.insert(0, _route("0.0.0.0/0" if subnet.ip_version == 4 else "::/0", subnet.gateway_ip))
    return {
        **found,
        "type": family,
        "ip_address": address,
        "netmask": str(ip_network(subnet.cidr).netmask),
        "routes": routes,
        "services": [{"type": "dns", "address": server} for server in subnet.dns_nameservers],
    }


def _route(to: str, via: str) -> dict[str, str]:
    network = ip_network(to, strict=False)
    return {"network": str(network.network_address), "netmask": str(network.netmask), "gateway": via}


# The EC2 tree.


def _ec2(view: View, tokens: list[str]) -> Document | None:
    if not tokens:
        return _lines([*EC2_VERSIONS, "latest"])
    version = EC2_VERSIONS[-1] if tokens[0] == "latest" else tokens[0]
    if version not in EC2_VERSIONS:
        return None
    if (user_data := _user_data(view)) is not None and tokens[1:] == ["user-data"]:
        return Document(user_data)
    root: dict[str, Tree] = {"meta-data": _ec2_meta_data(view, version)}
    if user_data is not None:
        root["user-data"] = ""
    node: Tree = root
    for token in tokens[1:]:
        if not isinstance(node, dict) or token not in node:
            return None
        node = node[token]
    return _lines(_listing(node))


def _ec2_meta_data(view: View, version: str) -> Tree:
    about, guest = view.guest.metadata, view.guest
    found: dict[str, Tree] = {
        "ami-id": f"ami-{guest.image.id[:8]}",
        "ami-launch-index": str(about.launch_index),
        # the very word that upstream answers: there are no manifests
        "ami-manifest-path": "FIXME",
        "instance-id": f"i-{guest.id[:8]}",
        "hostname": about.hostname,
        "local-ipv4": _first_address(view),
        "reservation-id": about.reservation_id,
        "security-groups": list(about.security_groups),
    }
    if about.keys:
        found["public-keys"] = {
            str(number): {"_name": f"{number}={name}", "openssh-key": key}
            for number, (name, key) in enumerate(about.keys.items())
        }
    if version >= "2007-01-19":
        found |= {
            "local-hostname": about.hostname,
            "public-hostname": about.hostname,
            "public-ipv4": view.floating_ip,
        }
    if version >= "2007-08-29":
        found["instance-type"] = about.flavor
    if version >= "2007-12-15":
        found["block-device-mapping"] = {"ami": "vda", "root": "/dev/vda"}
        found["instance-action"] = "none"
    if version >= "2008-02-01":
        found["placement"] = {"availability-zone": about.availability_zone}
    return found


def _listing(node: Tree) -> list[str]:
    if isinstance(node, str):
        return [node]
    if isinstance(node, list):
        return node
    return [_entry(key, node[key]) for key in sorted(node) if key != "_name"]


def _entry(key: str, child: Tree) -> str:
    if not isinstance(child, dict):
        return key
    name = child.get("_name")
    return name if isinstance(name, str) else f"{key}/"


def _first_address(view: View) -> str:
    addresses = [address for port in view.ports for _, address in port.fixed_ips if ":" not in address]
    return addresses[0] if addresses else ""


def _user_data(view: View) -> bytes | None:
    encoded = view.guest.metadata.user_data
    if encoded is None:
        return None
    try:
        return base64.b64decode(encoded)
    except binascii.Error:
        return None


def _lines(lines: list[str]) -> Document:
    return Document("\n".join(lines).encode())


def _json(value: object) -> Document:
    return Document(json.dumps(value).encode(), JSON)
