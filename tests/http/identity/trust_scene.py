"""A trustor, users who may be trustees, and what there is to give."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.http.cloud import Answer
from tests.http.identity.conftest import IdentityCloud

TRUSTS = "/OS-TRUST/trusts"


class Party(msgspec.Struct):
    """A user with role member on project demo."""

    name: str
    id: str
    token: str = ""


class Scene:
    """A trustor, users who may be trustees, and what there is to give."""

    def __init__(self, cloud: IdentityCloud, project: str, roles: dict[str, str]) -> None:
        self.cloud, self.project, self.roles = cloud, project, roles
        self.giver = Party("demo", "")
        self.admin = ""

    async def user(self, name: str) -> Party:
        """A new user with no role anywhere, logged in without a scope."""
        made = await self.cloud.ask("POST", "/users", self.admin, json={"user": {"name": name, "password": "pw"}})
        return Party(name, made.json()["user"]["id"], await self.log_in(name))

    async def log_in(self, name: str) -> str:
        return (await self.cloud.log_in(name, "pw")).headers["x-subject-token"]

    async def give(self, taker: Party, giver: Party | None = None, **more: Any) -> Answer:
        """A trust with role member."""
        giver = giver or self.giver
        trust = {
            "trustor_user_id": giver.id,
            "trustee_user_id": taker.id,
            "impersonation": False,
            "project_id": self.project,
            "roles": [{"id": self.roles["member"]}],
        }
        return await self.cloud.ask("POST", TRUSTS, giver.token, json={"trust": trust | more})

    async def given(self, taker: Party, giver: Party | None = None, **more: Any) -> str:
        """The id of a new trust."""
        made = await self.give(taker, giver, **more)
        assert made.status == 201, made.body
        return str(made.json()["trust"]["id"])

    async def use(self, taker: Party, trust_id: str) -> Answer:
        """Log in by the trustee's token."""
        identity = {"methods": ["token"], "token": {"id": taker.token}}
        auth = {"identity": identity, "scope": {"OS-TRUST:trust": {"id": trust_id}}}
        return await self.cloud.ask("POST", "/auth/tokens?nocatalog", json={"auth": auth})

    async def holds(self, token: str) -> bool:
        """Whether identity takes the token, asked by an administrator."""
        answer = await self.cloud.ask("GET", "/auth/tokens?nocatalog", self.admin, headers={"X-Subject-Token": token})
        return answer.status == 200


async def made_scene(cloud: IdentityCloud) -> Scene:
    """User demo gives, on project demo."""
    roles = {name: await cloud.id_of("roles", name) for name in ("member", "reader", "manager", "admin")}
    made = Scene(cloud, await cloud.id_of("projects", "demo"), roles)
    made.admin = await cloud.admin()
    made.giver = Party("demo", await cloud.id_of("users", "demo"), await cloud.demo())
    return made
