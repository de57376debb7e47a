"""POST /servers/{server_id}/action: what is offered, and upstream's whole list of names."""

from __future__ import annotations

import re

from kilostack.compute.api import server_schemas
from kilostack.compute.app.parts import Parts
from kilostack.compute.app.server_verbs import ServerVerbs
from kilostack.compute.app.servers import Servers
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Action, Route, actions

#: every action that upstream knows at some microversion
KNOWN = frozenset(
    {
        *("addFixedIp", "addFloatingIp", "addSecurityGroup", "changePassword", "confirmResize", "createBackup"),
        *("createImage", "evacuate", "forceDelete", "injectNetworkInfo", "lock", "migrate", "os-getConsoleOutput"),
        *("os-getRDPConsole", "os-getSPICEConsole", "os-getSerialConsole", "os-getVNCConsole", "os-migrateLive"),
        *("os-resetState", "os-start", "os-stop", "pause", "reboot", "rebuild", "removeFixedIp", "removeFloatingIp"),
        *("removeSecurityGroup", "rescue", "resetNetwork", "resize", "restore", "resume", "revertResize", "shelve"),
        *("shelveOffload", "suspend", "trigger_crash_dump", "unlock", "unpause", "unrescue", "unshelve"),
    }
)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f]")


class ServerActionsApi:
    """One handler per action."""

    def __init__(self, parts: Parts) -> None:
        self._servers, self._verbs = Servers(parts), ServerVerbs(parts)

    def routes(self) -> tuple[Route, ...]:
        schemas = server_schemas
        table = (
            Action(name="os-start", handler=self.start, body=schemas.START),
            Action(name="os-stop", handler=self.stop, body=schemas.STOP),
            Action(name="reboot", handler=self.reboot, body=schemas.REBOOT),
            Action(name="os-getConsoleOutput", handler=self.console, body=schemas.CONSOLE_OUTPUT),
            Action(name="addSecurityGroup", handler=self.add_group, body=schemas.ADD_GROUP),
            Action(name="removeSecurityGroup", handler=self.remove_group, body=schemas.REMOVE_GROUP),
            Action(name="lock", handler=self.lock, body=schemas.LOCK),
            Action(name="unlock", handler=self.unlock, body=schemas.UNLOCK),
        )
        return (Route(method="POST", path="/servers/{server_id}/action", handler=actions(table, KNOWN)),)

    async def _power(self, request: Request, verb: str) -> Response:
        await self._verbs.power(request.ctx, request.params["server_id"], verb)
        return Response(202)

    async def start(self, request: Request) -> Response:
        return await self._power(request, "start")

    async def stop(self, request: Request) -> Response:
        return await self._power(request, "stop")

    async def reboot(self, request: Request) -> Response:
        kind = (await request.json())["reboot"]["type"].lower()
        return await self._power(request, f"reboot_{kind}")

    async def console(self, request: Request) -> Response:
        length = (await request.json())["os-getConsoleOutput"].get("length")
        lines = None if length is None or int(length) < 0 else int(length)
        text = await self._servers.console(request.ctx, request.params["server_id"], lines)
        if lines:
            # what follows the last line break is a line, too, as upstream counts
            text = "\n".join(text.split("\n")[-lines:])
        return Response(200, {"output": _UNPRINTABLE.sub("", text)})

    async def add_group(self, request: Request) -> Response:
        group = (await request.json())["addSecurityGroup"]["name"]
        await self._servers.change_group(request.ctx, request.params["server_id"], group, add=True)
        return Response(202)

    async def remove_group(self, request: Request) -> Response:
        group = (await request.json())["removeSecurityGroup"]["name"]
        await self._servers.change_group(request.ctx, request.params["server_id"], group, add=False)
        return Response(202)

    async def lock(self, request: Request) -> Response:
        given = (await request.json())["lock"]
        reason = given.get("locked_reason") if request.version >= (2, 73) and isinstance(given, dict) else None
        await self._servers.lock(request.ctx, request.params["server_id"], reason)
        return Response(202)

    async def unlock(self, request: Request) -> Response:
        await self._servers.unlock(request.ctx, request.params["server_id"])
        return Response(202)
