"""Policy as neutron applies it: what a caller may not see is not there, what they may see but not do is forbidden."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kilostack.core.context import Context
from kilostack.core.errors import NotFound
from kilostack.core.policy import Policy
from kilostack.network import failures
from kilostack.network.model.records import (
    FloatingIp,
    Network,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
)

Target = dict[str, Any]


class Access:
    """Checks of one policy."""

    def __init__(self, policy: Policy, names: Iterable[str]) -> None:
        self._policy = policy
        self._names = frozenset(names)

    def allows(self, ctx: Context, rule: str, target: Target) -> bool:
        return self._policy.allows(ctx, rule, target)

    def check(self, ctx: Context, rule: str, target: Target) -> None:
        if not self._policy.allows(ctx, rule, target):
            raise failures.disallowed(rule)

    def check_attributes(self, ctx: Context, rule: str, attributes: Iterable[str], target: Target) -> None:
        """Check `rule` and what there is of rules for these attributes; names all that it asked for."""
        finer = [name for attribute in attributes if (name := f"{rule}:{attribute}") in self._names]
        if not all(self._policy.allows(ctx, name, target) for name in (rule, *finer)):
            raise failures.disallowed(rule, *finer)

    def check_seen(self, ctx: Context, noun: str, target: Target, missing: NotFound) -> None:
        """Raise `missing` unless the caller may see it."""
        if not self._policy.allows(ctx, f"get_{noun}", target):
            raise missing

    def hidden(self, ctx: Context, noun: str, attributes: Iterable[str], target: Target) -> frozenset[str]:
        """The attributes that the caller may not see."""
        return frozenset(
            attribute
            for attribute in attributes
            if (rule := f"get_{noun}:{attribute}") in self._names and not self._policy.allows(ctx, rule, target)
        )

    def has_finer(self, noun: str) -> bool:
        return any(name.startswith(f"get_{noun}:") for name in self._names)


def of_project(project_id: str) -> Target:
    return {"project_id": project_id, "tenant_id": project_id}


def of_network(network: Network) -> Target:
    return {
        "project_id": network.project_id,
        "tenant_id": network.project_id,
        "network:project_id": network.project_id,
        "shared": network.shared,
        "router:external": network.external,
    }


def of_subnet(subnet: Subnet, network: Network | None = None) -> Target:
    return {
        "project_id": subnet.project_id,
        "tenant_id": subnet.project_id,
        "network:project_id": network.project_id if network else subnet.audience,
        "shared": subnet.shared,
        "router:external": subnet.external,
    }


def of_port(port: Port) -> Target:
    return {
        "project_id": port.project_id,
        "tenant_id": port.project_id,
        "network:project_id": port.network_project_id,
        "network_device": port.device_owner.startswith("network:"),
    }


def of_rule(rule: SecurityGroupRule, group: SecurityGroup | None = None) -> Target:
    return {
        "project_id": rule.project_id,
        "tenant_id": rule.project_id,
        "security_group:project_id": group.project_id if group else rule.project_id,
    }


def of_owned(record: Router | FloatingIp | SecurityGroup) -> Target:
    return of_project(record.project_id)
