"""What the OpenAPI document of identity says, tried on a running cloud."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.http.whole.simulated import IDENTITY, Login, SimulatedCloud

_ORDER = ("get", "head", "post", "put", "patch", "delete")


def _victims(admin: Login) -> dict[str, list[str]]:
    """Name of a field of a path -> ids of things that are there, and may be changed and deleted."""
    made: dict[str, list[str]] = {}

    def make(plural: str, **document: Any) -> str:
        singular = plural.removesuffix("s")
        found = admin.make(f"{IDENTITY}/{plural}", {singular: {"name": f"victim-{singular}", **document}})
        made.setdefault(f"{singular}_id", []).append(found["id"])
        return str(found["id"])

    domain = make("domains")
    make("projects", domain_id=domain)
    user = make("users", domain_id=domain, password="victim")
    make("groups", domain_id=domain)
    make("roles")
    service = make("services", type="victim")
    region = admin.make(f"{IDENTITY}/regions", {"region": {"description": "victim"}})["id"]
    endpoint = {"service_id": service, "interface": "public", "url": "http://v.test", "region_id": region}
    make("endpoints", **endpoint)
    made["region_id"] = [region]
    credential = {"type": "cert", "blob": "{}", "user_id": user}
    made["credential_id"] = [admin.make(f"{IDENTITY}/credentials", {"credential": credential})["id"]]
    return made


def _attempt(operation: Any, how: tuple[GenerationMode, int], known: dict[str, list[str]], send: Any) -> None:
    """Send what the document allows, or what it does not, to things that are there and to others."""

    @hypothesis.settings(
        max_examples=how[1],
        deadline=None,
        database=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=how[0]), real=st.booleans())
    def attempt(case: Any, real: bool) -> None:
        if real:
            case.path_parameters |= {name: known[name][0] for name in case.path_parameters if name in known}
        send(case)

    attempt()


def attempt_everything(cloud: SimulatedCloud, examples: int) -> None:
    """Each operation, `examples` times rightly and wrongly: no 5xx, and no status that the document does not name.

    Nothing in the cloud may matter to anybody.
    """
    admin = cloud.log_in("admin")
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{cloud.port}/openapi/identity.json")
    known = _victims(admin)
    wrong: list[str] = []
    seen: dict[int, int] = {}
    session = requests.Session()

    def send(case: Any) -> None:
        answer = case.call(session=session, headers={"X-Auth-Token": admin.token})
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        told = case.operation.definition.raw["responses"]
        if answer.status_code >= 500 or str(answer.status_code) not in told:
            wrong.append(f"{answer.status_code}: {case.as_curl_command()}\n  {answer.content[:300]!r}")

    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in sorted(operations, key=lambda one: _ORDER.index(one.method)):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            # of some operations nothing wrong can be said
            with suppress(hypothesis.errors.Unsatisfiable):
                _attempt(operation, (mode, examples), known, send)
    session.close()
    assert not wrong, "\n".join(wrong)
    assert len(operations) > 200 and {200, 201, 204, 400, 404} <= set(seen), seen
