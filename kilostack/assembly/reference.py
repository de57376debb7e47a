"""The pages of docs/reference that follow from the program itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kilostack.assembly import policies
from kilostack.core.policy import Policy, Rule
from kilostack.core.policy_personas import PERSONAS, REACHES, reach

_MADE = "Made by `python -m tools.reference` from the program itself; a test compares."


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


def pages() -> Mapping[str, Callable[[], str]]:
    """File name -> what writes its text."""
    return {f"{service}-policy.md": lambda service=service: policy_page(service) for service in policies.RULES}  # type: ignore[misc]
