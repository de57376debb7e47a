"""What neutron's clients are told when something cannot be: its type names and its sentences."""

from __future__ import annotations

from kilostack.core.errors import BadRequest, Conflict, Forbidden, NotFound, PreconditionFailed
from kilostack.network.model.records import FloatingIp


def invalid(text: str) -> BadRequest:
    """A value that makes no sense for this operation."""
    return BadRequest(f"Invalid input for operation: {text}.", kind="InvalidInput")


def bad(resource: str, text: str) -> BadRequest:
    return BadRequest(f"Bad {resource} request: {text}.", kind="BadRequest")


def malformed(text: str) -> BadRequest:
    """A body or a query that cannot be read."""
    return BadRequest(text, kind="HTTPBadRequest")


def disallowed(*rules: str) -> Forbidden:
    named = " and ".join(f"rule:{rule}" for rule in rules)
    return Forbidden(f"{named if len(rules) == 1 else f'({named})'} is disallowed by policy")


def network_not_found(network_id: str) -> NotFound:
    return NotFound(f"Network {network_id} could not be found.", kind="NetworkNotFound")


def subnet_not_found(subnet_id: str) -> NotFound:
    return NotFound(f"Subnet {subnet_id} could not be found.", kind="SubnetNotFound")


def port_not_found(port_id: str) -> NotFound:
    return NotFound(f"Port {port_id} could not be found.", kind="PortNotFound")


def router_not_found(router_id: str) -> NotFound:
    return NotFound(f"Router {router_id} could not be found", kind="RouterNotFound")


def floating_ip_not_found(floating_ip_id: str) -> NotFound:
    return NotFound(f"Floating IP {floating_ip_id} could not be found", kind="FloatingIPNotFound")


def group_not_found(group_id: str) -> NotFound:
    return NotFound(f"Security group {group_id} does not exist", kind="SecurityGroupNotFound")


def rule_not_found(rule_id: str) -> NotFound:
    return NotFound(f"Security group rule {rule_id} does not exist", kind="SecurityGroupRuleNotFound")


def agent_not_found(agent_id: str) -> NotFound:
    return NotFound(f"Agent {agent_id} could not be found.", kind="AgentNotFound")


def segment_in_use(physical_network: str | None, segmentation_id: int | None) -> Conflict:
    if physical_network is not None:
        return Conflict(
            f"Unable to create the flat network. Physical network {physical_network} is in use.",
            kind="FlatNetworkInUse",
        )
    return Conflict(f"Unable to create the network. The tunnel ID {segmentation_id} is in use.", kind="TunnelIdInUse")


def network_in_use(network_id: str, reason: str) -> Conflict:
    return Conflict(f"Unable to complete operation on network {network_id}. {reason}.", kind="NetworkInUse")


def subnet_in_use(subnet_id: str, reason: str) -> Conflict:
    return Conflict(f"Unable to complete operation on subnet {subnet_id}: {reason}.", kind="SubnetInUse")


def port_in_use(port_id: str, network_id: str, device_id: str) -> Conflict:
    return Conflict(
        f"Unable to complete operation on port {port_id} for network {network_id}. "
        f"Port already has an attached device {device_id}.",
        kind="PortInUse",
    )


def service_port_in_use(port_id: str, owner: str) -> Conflict:
    return Conflict(
        f"Port {port_id} cannot be deleted directly via the port API: has device owner {owner}.",
        kind="ServicePortInUse",
    )


def address_allocated(subnet_id: str, address: str) -> Conflict:
    return Conflict(f"IP address {address} already allocated in subnet {subnet_id}", kind="IpAddressAlreadyAllocated")


def no_address_left(network_id: str) -> Conflict:
    return Conflict(
        f"No more IP addresses available on network {network_id}.",
        kind="IpAddressGenerationFailure",
        network_id=network_id,
    )


def mac_in_use(network_id: str, mac: str) -> Conflict:
    return Conflict(
        f"Unable to complete operation for network {network_id}. The mac address {mac} is in use.",
        kind="MacAddressInUse",
    )


def group_in_use(group_id: str, reason: str = "in use") -> Conflict:
    return Conflict(f"Security Group {group_id} {reason}.", kind="SecurityGroupInUse")


def router_in_use(router_id: str, reason: str) -> Conflict:
    return Conflict(f"Router {router_id} {reason}", kind="RouterInUse")


def gateway_in_use(router_id: str, network_id: str) -> Conflict:
    return Conflict(
        f"Gateway cannot be updated for router {router_id}, since a gateway to external network {network_id} "
        "is required by one or more floating IPs.",
        kind="RouterExternalGatewayInUseByFloatingIp",
    )


def leg_in_use(router_id: str, subnet_id: str, by: str, kind: str) -> Conflict:
    return Conflict(
        f"Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, as it is required by one "
        f"or more {by}.",
        kind=kind,
    )


def already_associated(floating_ip: FloatingIp) -> Conflict:
    return Conflict(
        f"Cannot associate floating IP {floating_ip.floating_ip_address} ({floating_ip.id}) with port "
        f"{floating_ip.port_id} using fixed IP {floating_ip.fixed_ip_address}, as that fixed IP already has a "
        f"floating IP on external network {floating_ip.floating_network_id}.",
        kind="FloatingIPPortAlreadyAssociated",
    )


def changed_meanwhile(what: str) -> Conflict:
    return Conflict(f"{what} was changed or removed meanwhile.")


def wrong_revision(found: int, wanted: int) -> PreconditionFailed:
    return PreconditionFailed(
        f"Constrained to {wanted}, but current revision is {found}", kind="RevisionNumberConstraintFailed"
    )
