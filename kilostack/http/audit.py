"""Every request that changes something becomes a record: made from what the HTTP layer knows, written in order.

Records of one moment are written together. The answer to a change waits until its record is on disk; refusals and log
ins, after which nothing is other than before, do not wait for theirs, which are gathered a little longer: to write each
by itself would cost as much as to make a token.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import suppress
from typing import Any

import msgspec

from kilostack.core.audit import Chain, Record, outcome
from kilostack.core.world import World
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Api
from kilostack.store import audit as store
from kilostack.store.database import Database, Tx

_LOG = logging.getLogger("kilostack.audit")
_FIELD = re.compile(r"\{(\w+)[^}]*\}")
_READS = frozenset({"GET", "HEAD"})
_TOGETHER = 500
_MOST_WAITING = 20_000
_AGAIN_S = 1.0
_GATHERED_S = 0.05
_LONGEST = 64
#: refused log ins of nobody that is known: so many are remembered in each so long a time, for anybody can send them
_STRANGERS = 100
_STRANGERS_S = 60.0
_encode = msgspec.json.Encoder().encode

_Waiting = tuple[str, "asyncio.Future[None] | None"]


def record_of(api: Api, request: Request, response: Response, at: int) -> Record | None:
    """What is to be remembered of a request; None when it is a read, no operation, or nobody's.

    Requests without a valid token have no author and change nothing: they are in the log of the process only, or
    anybody could fill the disk. So are attempts that are refused because there were too many.
    """
    route, ctx, status = request.route, request.ctx, response.status
    if route is None or not route.path:
        return None
    if request.method in _READS and "user_id" not in request.facts:
        # a log in may be a GET, and nothing else that does anything
        return None
    if not ctx.user_id and (not route.public or status == 429):
        return None
    # upstream's names of the fields tell what each is the id of
    shown = route.shown or route.path
    action = f"{request.method} {api.prefix}{shown}"
    if (verb := request.facts.get("action")) is not None:
        action += f" {verb}"
    fields = zip(_FIELD.findall(shown), request.params.values(), strict=False)
    target = {name: value[:_LONGEST] for name, value in fields}
    if status < 300 and request.method == "POST":
        target |= _made(response.body)
    return Record(
        at=at,
        request_id=ctx.request_id,
        global_request_id=ctx.global_request_id,
        service=api.name,
        action=action,
        target=target,
        status=status,
        outcome=outcome(status),
        user_id=ctx.user_id or request.facts.get("user_id", ""),
        project_id=ctx.project_id,
        domain_id=ctx.domain_id,
        system=ctx.system,
        roles=ctx.roles,
        audit_id=ctx.audit_id,
        address=request.address,
    )


def _made(body: Any) -> dict[str, str]:
    """The id of what was made, as the answer tells it."""
    if isinstance(body, dict) and "id" not in body and len(body) == 1:
        (body,) = body.values()
    if isinstance(body, list):
        ids = [str(item["id"]) for item in body if isinstance(item, dict) and "id" in item]
        return {"id": ",".join(ids)} if ids else {}
    return {"id": str(body["id"])[:_LONGEST]} if isinstance(body, dict) and "id" in body else {}


class AuditLog:
    """Writes records to one database, from this process."""

    def __init__(self, db: Database, world: World, chain: Chain) -> None:
        self._db, self._world, self._chain = db, world, chain
        self._queue: list[_Waiting] = []
        #: somebody waits for what is in the queue
        self._urgent = asyncio.Event()
        self._closing = False
        self._pump: asyncio.Task[None] | None = None
        #: when it was begun to count strangers, and how many there were
        self._strangers = (world.monotonic(), 0)

    async def answered(self, api: Api, request: Request, response: Response) -> None:
        """Called once per request, before its answer leaves."""
        record = record_of(api, request, response, self._world.now())
        if record is None or (not record.user_id and record.status >= 400 and not self._has_room_for_stranger()):
            return
        is_change = record.status < 400 and bool(request.ctx.user_id)
        written = asyncio.get_running_loop().create_future() if is_change else None
        text = _encode(record).decode()
        if len(self._queue) >= _MOST_WAITING:
            _LOG.error("an audit record has no room and is kept here alone: %s", text)
            return
        self._queue.append((text, written))
        if is_change:
            self._urgent.set()
        if self._pump is None or self._pump.done():
            self._pump = self._world.spawn(self._write(), "audit")
        if written is not None:
            await written

    def _has_room_for_stranger(self) -> bool:
        """Whether one more is remembered; the others are in the log of the process."""
        since, count = self._strangers
        now = self._world.monotonic()
        if now - since >= _STRANGERS_S:
            since, count = now, 0
        self._strangers = (since, count + 1)
        return count < _STRANGERS

    async def close(self) -> None:
        """Write what waits; what cannot be written now goes to the log of the process."""
        self._closing = True
        if self._pump is not None and not self._pump.done():
            self._urgent.set()
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while self._queue:
                await self._gathered()
                batch = self._queue[:_TOGETHER]
                if len(batch) == len(self._queue):
                    self._urgent.clear()
                if await self._written(batch):
                    del self._queue[: len(batch)]
                elif self._closing:
                    _LOG.error("audit records that were not written: %s", " ".join(text for text, _ in self._queue))
                    return
                else:
                    await self._world.sleep(_AGAIN_S)
        finally:
            _release(self._queue)

    async def _gathered(self) -> None:
        """Until somebody waits, or a moment has passed."""
        with suppress(TimeoutError):
            async with self._world.timeout(_GATHERED_S):
                await self._urgent.wait()

    async def _written(self, batch: list[_Waiting]) -> bool:
        texts = [text for text, _ in batch]

        async def unit(tx: Tx) -> None:
            await store.append(tx, self._chain, texts)

        try:
            await self._db.write(unit)
        except Exception as error:
            # the changes are made: whoever asked for them is told so, and the records follow when there is room again
            _LOG.error("%d audit records cannot be written yet: %s", len(texts), error)
            _release(batch)
            return False
        _release(batch)
        return True


def _release(batch: list[_Waiting]) -> None:
    for _, written in batch:
        if written is not None and not written.done():
            written.set_result(None)
