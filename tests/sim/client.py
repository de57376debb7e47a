"""A client of an ASGI application in the same event loop: no sockets, no threads."""

from __future__ import annotations

from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


async def request(app: Any, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """One request, whole, to an ASGI application."""
    path, _, query = path.partition("?")
    raw = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
    sent = {"host": "cloud.test", "content-type": "application/json", "content-length": str(len(raw))}
    sent |= {name.lower(): value for name, value in (headers or {}).items()}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("192.0.2.1", 1024),
        "server": ("cloud.test", 80),
    }
    inbox = [{"type": "http.request", "body": raw, "more_body": False}]
    status, got, chunks = 0, {}, []

    async def receive() -> dict[str, Any]:
        return inbox.pop(0) if inbox else {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        nonlocal status, got
        if event["type"] == "http.response.start":
            status = event["status"]
            got = {name.decode().lower(): value.decode() for name, value in event.get("headers", ())}
        elif event["type"] == "http.response.body":
            chunks.append(event.get("body", b""))

    await app(scope, receive, send)
    return Answer(status, got, b"".join(chunks))
