"""The pages of docs/reference that follow from the program itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kilostack.assembly import policies
from kilostack.core.errors import Unavailable
from kilostack.core.policy import Policy, Rule
from kilostack.core.policy_personas import PERSONAS, REACHES, reach
from kilostack.core.vault import MASTER_KEY_BYTES, Vault
from kilostack.core.world import RealWorld
from kilostack.http.operations import Operation, is_offered, key_of
from kilostack.identity.api.operations import OPERATIONS
from kilostack.identity.app.ground import IdentityParts
from kilostack.identity.service import IdentityService
from kilostack.store.database import Unit

_MADE = "Made by `python -m tools.reference` from the program itself; a test compares."
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def policy_page(service: str) -> str:
    """Who may do what in a service, by our own rules."""
    rules = policies.RULES[service]
    policy = Policy(rules)
    meaning = "; ".join(f"*{cell or 'nothing'}*: {what}" for cell, what in REACHES.items())
    return "\n".join(
        [
            f"# Who may do what: {service}",
            "",
            _MADE,
            "",
            f"Each column is a kind of user, each cell how far they may go. {meaning}. Where no token",
            "of that scope is taken, the cell is empty, too. `kilostack policy table` shows it for a file of your own.",
            "",
            f"| rule | {' | '.join(persona.name for persona in PERSONAS)} |",
            f"|---|{'---|' * len(PERSONAS)}",
            *(_row(policy, rule) for rule in policies.operations(rules)),
            "",
            "## The rules",
            "",
            "| rule | scopes | check |",
            "|---|---|---|",
            *(
                f"| `{rule.name}` | {', '.join(rule.scope_types) or 'any'} | {_code(rule.check)} |"
                for rule in sorted(rules, key=lambda rule: rule.name)
            ),
            "",
        ]
    )


def _row(policy: Policy, rule: Rule) -> str:
    cells = (reach(policy, rule.name, persona) for persona in PERSONAS)
    return f"| `{rule.name}` | {' | '.join(cells)} |"


def _code(check: str) -> str:
    return f"`{check}`" if check else "everybody"


def coverage_page() -> str:
    """Which operations of upstream's Identity v3 are offered."""
    service = IdentityService(IdentityParts(db=_NoDatabase(), world=RealWorld(), vault=Vault(bytes(MASTER_KEY_BYTES))))
    offered = frozenset(key_of(route) for route in service.api.routes)
    operations = sorted(OPERATIONS.values(), key=lambda operation: (operation.path, _METHODS.index(operation.method)))
    count = sum(is_offered(operation, offered) for operation in operations)
    return "\n".join(
        [
            "# What of Identity v3 is offered",
            "",
            _MADE,
            "",
            f"{count} of {len(operations)} operations. A cloud describes its APIs under `/openapi/SERVICE.json`.",
            "",
            "| method | path | policy | answers | offered |",
            "|---|---|---|---|---|",
            *(_operation(operation, is_offered(operation, offered)) for operation in operations),
            "",
        ]
    )


def _operation(operation: Operation, is_offered: bool) -> str:
    rules = ", ".join(f"`{rule.rpartition(':')[2]}`" for rule in operation.rules)
    answers = ", ".join(map(str, operation.statuses))
    return f"| {operation.method} | `/v3{operation.path}` | {rules} | {answers} | {'yes' if is_offered else 'no'} |"


class _NoDatabase:
    """Stands where none is asked anything: the tables of routes are made without."""

    async def read(self, unit: Unit[Any]) -> Any:
        raise Unavailable("there is no database")

    async def write(self, unit: Unit[Any]) -> Any:
        raise Unavailable("there is no database")

    async def close(self) -> None:
        return None


def pages() -> Mapping[str, Callable[[], str]]:
    """File name -> what writes its text."""
    rules = {f"{service}-policy.md": partial(policy_page, service) for service in policies.RULES}
    return {**rules, "identity-coverage.md": coverage_page}
