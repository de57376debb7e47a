"""Compute's public face as its tests ask it: a client with a persona and a microversion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kilostack.compute.app.parts import Parts
from kilostack.compute.model.server import Server
from kilostack.compute.store.tables import SERVERS
from kilostack.store.database import Database
from tests.compute import stand_ins
from tests.http.cloud import Answer, Client

PREFIX = "/compute/v2.1"


class Cloud:
    """A client with a persona and a microversion, and what lies behind it."""

    def __init__(self, http: Client, db: Database, parts: Parts, neighbours: stand_ins.Neighbours) -> None:
        self.http, self.db, self.parts, self.neighbours = http, db, parts, neighbours

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "member",
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {**({"OpenStack-API-Version": f"compute {version}"} if version else {}), **(headers or {})}
        prefix = "" if path.startswith("/kilostack") else PREFIX
        return await self.http.request(method, prefix + path, token=token, json=body, headers=sent)

    async def server(self, name: str = "one", *, token: str = "member", built: bool = True, **fields: Any) -> str:
        """The id of a new server; `built` makes it idle and ACTIVE on a host."""
        body = {"name": name, "flavorRef": "1", "imageRef": stand_ins.IMAGE, "networks": "auto", **fields}
        answer = await self.ask("POST", "/servers", {"server": body}, token=token, version="2.96")
        assert answer.status == 202, answer.body
        server_id: str = answer.json()["server"]["id"]
        if built:
            await stand_ins.finish_build(self.db, server_id)
        return server_id

    async def record(self, server_id: str) -> Server:
        return await self.db.read(lambda tx: SERVERS.get(tx, id=server_id))
