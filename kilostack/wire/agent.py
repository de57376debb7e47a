"""What an agent and a gateway say to each other, as JSON in frames.

The first frame of a connection says what it is: `Hello` opens the one control connection of a host; `ImageWanted` and
`ConsoleText` open a bulk connection, which carries bytes as they are and ends by an empty frame. Bulk connections are
dialled by the agent, with a ticket that works once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from kilostack.wire.compute import GuestReport, HostFacts
from kilostack.wire.network import PortReport, RouterReport

#: Goes up when an older end could not understand a newer one.
PROTOCOL = 1
#: Frames of bulk data are at most this long.
BULK_FRAME = 512 * 1024

Report = GuestReport | PortReport | RouterReport
_KINDS: dict[type, str] = {GuestReport: "guest", PortReport: "port", RouterReport: "router"}


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """An agent is there, and this is what it has."""

    protocol: int = PROTOCOL
    release: str
    host: str
    facts: HostFacts
    #: service -> key -> revision
    known: dict[str, dict[str, int]]


class ImageWanted(msgspec.Struct, frozen=True, kw_only=True, tag="image_wanted"):
    """Opens a bulk connection: the bytes of the ticket's image from `offset` on."""

    protocol: int = PROTOCOL
    ticket: str
    offset: int


class ConsoleText(msgspec.Struct, frozen=True, kw_only=True, tag="console_text"):
    """Opens a bulk connection: the text that the ticket was made for follows, or there is none because of `fault`."""

    protocol: int = PROTOCOL
    ticket: str
    fault: str | None = None


class Reports(msgspec.Struct, frozen=True, kw_only=True, tag="reports"):
    """Reports for one service, in order. The agent sends the next batch when this one was accepted."""

    service: str
    number: int
    reports: tuple[msgspec.Raw, ...]


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The agent is alive."""


class Resend(msgspec.Struct, frozen=True, tag="resend"):
    """What the agent has of this service differs from what it should have: send all of it."""

    service: str


class TicketAsked(msgspec.Struct, frozen=True, kw_only=True, tag="ticket_asked"):
    """The host needs the bytes of an image; `number` comes back with the answer."""

    number: int
    image_id: str


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome"):
    """The gateway has taken the connection."""

    protocol: int = PROTOCOL
    gateway: str


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The gateway ends the connection for this reason."""

    reason: str


class Granted(msgspec.Struct, frozen=True, tag="granted"):
    """The bytes asked for follow."""


class State(msgspec.Struct, frozen=True, kw_only=True, tag="state"):
    """What changed in the host's desired state of one service. The first one of a connection always comes."""

    service: str
    changed: dict[str, msgspec.Raw] = {}
    revisions: dict[str, int] = {}
    #: may name keys that the host does not know: it should say that nothing of them is left
    removed: tuple[str, ...] = ()
    #: there is nothing beside what is in `changed`
    whole: bool = False


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted"):
    """The batch of reports with that number is committed."""

    service: str
    number: int


class Check(msgspec.Struct, frozen=True, kw_only=True, tag="check"):
    """What the digest of the host's desired state of a service should be now."""

    service: str
    digest: str


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """The gateway is alive."""


class Ticket(msgspec.Struct, frozen=True, kw_only=True, tag="ticket"):
    """The answer to `TicketAsked`: a ticket, or why there is none."""

    number: int
    ticket: str = ""
    fault: str | None = None


class ConsoleAsked(msgspec.Struct, frozen=True, kw_only=True, tag="console_asked"):
    """Somebody wants to read what a guest wrote: dial back with the ticket. `lines` None is all that is kept."""

    ticket: str
    server_id: str
    lines: int | None


Opening = Hello | ImageWanted | ConsoleText
FromAgent = Reports | Pong | Resend | TicketAsked
FromGateway = Welcome | Refusal | State | Accepted | Check | Ping | Ticket | ConsoleAsked
BulkAnswer = Granted | Refusal

_opening: msgspec.json.Decoder[Opening] = msgspec.json.Decoder(Opening)
_from_agent: msgspec.json.Decoder[FromAgent] = msgspec.json.Decoder(FromAgent)
_from_gateway: msgspec.json.Decoder[FromGateway] = msgspec.json.Decoder(FromGateway)
_bulk_answer: msgspec.json.Decoder[BulkAnswer] = msgspec.json.Decoder(BulkAnswer)
#: Each raises `msgspec.DecodeError` for what is no such message.
read_opening = _opening.decode
read_from_agent = _from_agent.decode
read_from_gateway = _from_gateway.decode
read_bulk_answer = _bulk_answer.decode
write = msgspec.json.Encoder().encode


def report_json(report: Report) -> msgspec.Raw:
    """A report as services get it: its fields, and its type in "kind"."""
    return msgspec.Raw(msgspec.json.encode({"kind": _KINDS[type(report)], **msgspec.to_builtins(report)}))


def report_key(report: Report) -> str:
    """Which report takes the place of which: one per thing that is reported on."""
    return f"{_KINDS[type(report)]}/{report.id}"


def digest(objects: Mapping[str, tuple[int, bytes]]) -> str:
    """The digest of a stream: key -> (revision, object as JSON)."""
    found = hashlib.sha256()
    for key in sorted(objects):
        revision, text = objects[key]
        found.update(f"{key}\0{revision}\0{len(text)}\0".encode())
        found.update(text)
    return found.hexdigest()
