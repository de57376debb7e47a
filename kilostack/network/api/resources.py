"""Every collection of the API as one declaration each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.network import failures
from kilostack.network.api import views
from kilostack.network.api.attributes import Attribute, Attributes
from kilostack.network.api.collections import Resource
from kilostack.network.api.listing import Filters
from kilostack.network.app import access
from kilostack.network.app.floating_ips import FloatingIps
from kilostack.network.app.groups import GroupRules, Groups
from kilostack.network.app.networks import Networks
from kilostack.network.app.ports import Ports
from kilostack.network.app.routers import Routers
from kilostack.network.app.subnets import Subnets
from kilostack.network.model import group_rules, values
from kilostack.network.model.values import Wrong
from kilostack.network.store import groups, networks, ports, routers
from kilostack.network.store.tables import PORTS, RULES
from kilostack.store.database import Tx

_STANDARD = ("id", "created_at", "updated_at", "revision_number")
_PROFILE_BYTES = 4095
_NUMBER = values.integer(0, 2**63 - 1)
_PARSE = {
    "admin_state_up": values.boolean,
    "shared": values.boolean,
    "router:external": values.boolean,
    "port_security_enabled": values.boolean,
    "enable_dhcp": values.boolean,
    "mtu": _NUMBER,
    "ip_version": _NUMBER,
    "provider:segmentation_id": _NUMBER,
    "revision_number": _NUMBER,
    "port_range_min": _NUMBER,
    "port_range_max": _NUMBER,
    "changed_since": values.moment,
}


_NOT_OFFERED = {
    "ipv6_ra_mode": "router advertisements are not offered by this cloud",
    "ipv6_address_mode": "automatic IPv6 addresses are not offered by this cloud",
    "subnetpool_id": "subnet pools are not offered by this cloud: give a cidr",
}
_NAMED = (
    Attribute(name="name", read=values.string(), put=True),
    Attribute(name="description", read=lambda value: values.string()(value or ""), put=True),
)


def network(cases: Networks) -> Resource:
    attributes = (
        *_NAMED,
        Attribute(name="admin_state_up", read=values.boolean, put=True),
        Attribute(name="shared", read=values.boolean, put=True),
        Attribute(name="router:external", read=values.boolean, put=True),
        Attribute(name="port_security_enabled", read=values.boolean, put=True),
        Attribute(name="mtu", read=values.integer(68, 9216), put=True),
        Attribute(name="provider:network_type", read=values.string(32), put=True),
        Attribute(name="provider:physical_network", read=values.optional(values.string(64)), put=True),
        Attribute(name="provider:segmentation_id", read=values.optional(values.integer(1, (1 << 24) - 1)), put=True),
    )
    return Resource(
        attributes=Attributes("network", "networks", attributes, (*_STANDARD, "status", "subnets")),
        filters=Filters(collection=networks.COLLECTION, parse=_PARSE),
        cases=cases,
        render=views.network,
        target=access.of_network,
        missing=failures.network_not_found,
    )


def subnet(cases: Subnets) -> Resource:
    attributes = (
        *_NAMED,
        Attribute(name="network_id", read=values.uuid, required=True),
        Attribute(name="ip_version", read=values.ip_version, required=True),
        Attribute(name="cidr", read=values.cidr),
        Attribute(name="gateway_ip", read=values.optional(values.address), put=True),
        Attribute(name="allocation_pools", read=values.address_pools, put=True),
        Attribute(name="dns_nameservers", read=values.nameservers, put=True),
        Attribute(name="host_routes", read=values.routes, put=True),
        Attribute(name="enable_dhcp", read=values.boolean, put=True),
        *(Attribute(name=name, read=_nothing(text)) for name, text in _NOT_OFFERED.items()),
    )
    return Resource(
        attributes=Attributes("subnet", "subnets", attributes, _STANDARD),
        filters=Filters(collection=networks.SUBNET_COLLECTION, parse=_PARSE),
        cases=cases,
        render=views.subnet,
        target=access.of_subnet,
        missing=failures.subnet_not_found,
    )


def port(cases: Ports) -> Resource:
    pair = values.fields({"ip_address": values.address_or_cidr}, {"mac_address": values.mac})
    attributes = (
        *_NAMED,
        Attribute(name="network_id", read=values.uuid, required=True),
        Attribute(name="admin_state_up", read=values.boolean, put=True),
        Attribute(name="mac_address", read=values.mac, put=True),
        Attribute(name="fixed_ips", read=values.fixed_ips, put=True),
        Attribute(name="device_id", read=values.string(), put=True),
        Attribute(name="device_owner", read=values.string(), put=True),
        Attribute(name="security_groups", read=values.unique_uuids, put=True),
        Attribute(name="port_security_enabled", read=values.boolean, put=True),
        Attribute(name="allowed_address_pairs", read=values.listed(pair), put=True),
        Attribute(name="binding:host_id", read=lambda value: values.string()(value or ""), put=True),
        Attribute(name="binding:profile", read=_profile, put=True),
        Attribute(name="binding:vnic_type", read=values.one_of("normal"), put=True),
    )
    return Resource(
        attributes=Attributes("port", "ports", attributes, (*_STANDARD, "status")),
        filters=Filters(
            collection=ports.COLLECTION,
            parse=_PARSE | {"mac_address": lambda text: text.lower()},
            narrow={"fixed_ips": _by_fixed_ips, "security_groups": _by_groups},
        ),
        cases=cases,
        render=views.port,
        target=access.of_port,
        missing=failures.port_not_found,
    )


def router(cases: Routers) -> Resource:
    gateway = values.fields(
        {"network_id": values.uuid}, {"enable_snat": values.boolean, "external_fixed_ips": values.fixed_ips}
    )
    attributes = (
        *_NAMED,
        Attribute(name="admin_state_up", read=values.boolean, put=True),
        Attribute(name="external_gateway_info", read=lambda value: gateway(value) if value else None, put=True),
        Attribute(name="routes", read=values.routes, post=False, put=True),
    )
    return Resource(
        attributes=Attributes("router", "routers", attributes, (*_STANDARD, "status")),
        filters=Filters(collection=routers.COLLECTION, parse=_PARSE),
        cases=cases,
        render=views.router,
        target=access.of_owned,
        missing=failures.router_not_found,
    )


def floating_ip(cases: FloatingIps) -> Resource:
    attributes = (
        Attribute(name="description", read=lambda value: values.string()(value or ""), put=True),
        Attribute(name="floating_network_id", read=values.uuid, required=True),
        Attribute(name="subnet_id", read=values.optional(values.uuid)),
        Attribute(name="floating_ip_address", read=values.optional(values.address)),
        Attribute(name="port_id", read=values.optional(values.uuid), put=True),
        Attribute(name="fixed_ip_address", read=values.optional(values.address), put=True),
    )
    return Resource(
        attributes=Attributes("floatingip", "floatingips", attributes, (*_STANDARD, "status", "router_id")),
        filters=Filters(collection=routers.FLOATING_COLLECTION, parse=_PARSE),
        cases=cases,
        render=views.floating_ip,
        target=access.of_owned,
        missing=failures.floating_ip_not_found,
        around=_ports_behind,
    )


def security_group(cases: Groups) -> Resource:
    async def prepare(ctx: Context, asked: str | None) -> None:
        project_id = asked if asked and ctx.is_admin else ctx.project_id
        if project_id and ctx.roles:
            await cases.ensure_default(project_id)

    return Resource(
        attributes=Attributes("security_group", "security_groups", _NAMED, (*_STANDARD, "security_group_rules")),
        filters=Filters(collection=groups.COLLECTION, parse=_PARSE),
        cases=cases,
        render=views.security_group,
        target=access.of_owned,
        missing=failures.group_not_found,
        around=_rules_of,
        prepare=prepare,
    )


def security_group_rule(cases: GroupRules) -> Resource:
    attributes = (
        Attribute(name="security_group_id", read=values.string(), required=True),
        Attribute(name="direction", read=values.one_of("ingress", "egress"), required=True),
        Attribute(name="ethertype", read=group_rules.ethertype),
        Attribute(name="protocol", read=group_rules.protocol),
        Attribute(name="port_range_min", read=group_rules.port_value),
        Attribute(name="port_range_max", read=group_rules.port_value),
        Attribute(name="remote_ip_prefix", read=group_rules.remote_prefix),
        Attribute(name="remote_group_id", read=values.optional(values.string())),
        Attribute(name="remote_address_group_id", read=_nothing("address groups are not offered by this cloud")),
        Attribute(name="description", read=lambda value: values.string()(value or "")),
    )
    return Resource(
        attributes=Attributes("security_group_rule", "security_group_rules", attributes, _STANDARD),
        filters=Filters(collection=groups.RULE_COLLECTION, parse=_PARSE | {"protocol": group_rules.protocol}),
        cases=cases,
        render=views.security_group_rule,
        target=access.of_rule,
        missing=failures.rule_not_found,
        updatable=False,
    )


def _profile(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Wrong(f"'{values.shown(value)}' is not a dictionary")
    if len(msgspec.json.encode(value)) > _PROFILE_BYTES:
        raise Wrong(f"the profile is longer than {_PROFILE_BYTES} bytes")
    return value


def _nothing(why: str) -> values.Reader:
    """A reader that takes None alone: some clients name attributes that they have no value for."""

    def read(value: Any) -> None:
        if value is not None:
            raise Wrong(why)

    return read


async def _ports_behind(tx: Tx, records: Sequence[Any]) -> Mapping[str, Any]:
    """The port that each floating IP leads to."""
    found = {port.id: port for port in await PORTS.within(tx, "id", [r.port_id for r in records if r.port_id])}
    return {record.id: found[record.port_id] for record in records if record.port_id in found}


async def _rules_of(tx: Tx, records: Sequence[Any]) -> Mapping[str, Any]:
    """The rules of each group, oldest first."""
    rules: dict[str, list[Any]] = {record.id: [] for record in records}
    found = await RULES.within(tx, "security_group_id", list(rules))
    for rule in sorted(found, key=lambda rule: (rule.created_at, rule.id)):
        rules[rule.security_group_id].append(rule)
    return rules


async def _by_fixed_ips(tx: Tx, texts: Sequence[str]) -> set[str]:
    """Ports by "ip_address=A", "subnet_id=S" or "ip_address_substr=PART"; of one kind any, of each kind one."""
    by_kind: dict[str, set[str]] = {}
    for text in texts:
        kind, equals, value = text.partition("=")
        if not equals:
            raise failures.invalid(f"'{values.shown(text)}' is not of the form <key>=[value]")
        if kind == "ip_address":
            found = await ports.ids_with_address(tx, value)
        elif kind == "subnet_id":
            found = set(await ports.ids_on_subnet(tx, value))
        elif kind == "ip_address_substr":
            found = await ports.ids_with_address_like(tx, value)
        else:
            raise failures.malformed(f"['fixed_ips:{values.shown(kind)}'] is invalid attribute for filtering")
        by_kind[kind] = by_kind.get(kind, set()) | found
    return set.intersection(*by_kind.values())


async def _by_groups(tx: Tx, texts: Sequence[str]) -> set[str]:
    return await ports.ids_in_groups(tx, list(texts))
