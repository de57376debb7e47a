"""The rules of every service, with the files that an operator laid over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kilostack.compute import policy as compute
from kilostack.core import policy_files
from kilostack.core.policy import Rule
from kilostack.identity.app import policies as identity
from kilostack.image.app import rules as image
from kilostack.network import policy as network

#: service -> its default rules
RULES: Mapping[str, tuple[Rule, ...]] = {
    "identity": identity.RULES,
    "compute": compute.RULES,
    "network": tuple(network.rules()),
    "image": image.RULES,
}


def load(files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """The overrides of each service. Raises `PolicyError`, whose text begins with FILE:LINE."""
    return {service: policy_files.read(path, RULES[service]) for service, path in files.items()}


def operations(rules: Iterable[Rule]) -> list[Rule]:
    """The rules that stand for operations, without those that only others refer to."""
    return [rule for rule in rules if rule.scope_types or ":" in rule.name]
