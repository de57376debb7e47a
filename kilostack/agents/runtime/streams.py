"""What the objects of a stream are, and how a part gets them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from kilostack.wire import agent
from kilostack.wire.compute import Guest
from kilostack.wire.network import Fabric, Group, Network, Port, Router

_LOG = logging.getLogger("kilostack.agent")

#: key -> (revision, object as JSON)
Objects = Mapping[str, tuple[int, bytes]]


class Part(Protocol):
    """One part of an agent: makes the host what one stream says."""

    @property
    def service(self) -> str:
        """The service whose stream it is."""

    def changed(self, desired: Mapping[str, Any], complete: bool) -> None:
        """The whole desired mapping, whenever it has changed. Until it is `complete`, nothing on the host may be
        removed because it is not mentioned."""

    async def run(self, report: Callable[[Any], None]) -> None:
        """Run for ever; `report` takes what has changed on the host. That it raises ends the agent."""

    def reports(self) -> Sequence[Any]:
        """The present report of everything; called after each connect."""


async def _nothing() -> None:
    """What a part does that has nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A part and how it is used.

    `types`: first half of a key -> what its objects are; keys of other kinds come from a newer release and are passed
    over. `by_id`: the part wants the second half of keys only. `is_gone(id)` is called for an object that the service
    waits to hear is gone, and that this host does not know. For a drain, `stop` is awaited while the part runs and
    `clear` after it has ended.
    """

    part: Part
    types: Mapping[str, type]
    by_id: bool = False
    is_gone: Callable[[str], None] = lambda object_id: None
    stop: Callable[[], Awaitable[None]] = _nothing
    clear: Callable[[], Awaitable[None]] = _nothing


GUEST_TYPES: Mapping[str, type] = {"guest": Guest}
NETWORK_TYPES: Mapping[str, type] = {
    "network": Network,
    "port": Port,
    "group": Group,
    "router": Router,
    "fabric": Fabric,
}


@dataclass(slots=True)
class Stream:
    """One service's desired state on this host. `is_current`: it may be acted on by removing things, too."""

    attached: Attached
    objects: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    is_current: bool = False
    _decoded: dict[str, tuple[int, Any]] = field(default_factory=dict)

    @property
    def known(self) -> dict[str, int]:
        """Key -> revision."""
        return {key: revision for key, (revision, _) in self.objects.items()}

    def load(self, objects: Objects) -> None:
        """Take what the journal has; not yet current."""
        self.objects = dict(objects)

    def apply(self, state: agent.State) -> None:
        """Take a change from the gateway."""
        unknown = [key for key in state.removed if key not in self.objects]
        if state.whole:
            self.objects = {}
        for key in state.removed:
            self.objects.pop(key, None)
        for key, text in state.changed.items():
            self.objects[key] = (state.revisions.get(key, 0), bytes(text))
        self.is_current = True
        self.hand_over()
        for key in unknown:
            self.attached.is_gone(key.partition("/")[2])

    def hand_over(self) -> None:
        """Give the part its whole desired state."""
        desired: dict[str, Any] = {}
        is_understood = True
        for key in self.objects:
            kind, _, object_id = key.partition("/")
            if kind not in self.attached.types:
                continue
            if (found := self._decode(key, self.attached.types[kind])) is None:
                is_understood = False
            else:
                desired[object_id if self.attached.by_id else key] = found
        for key in self._decoded.keys() - self.objects.keys():
            del self._decoded[key]
        self.attached.part.changed(desired, self.is_current and is_understood)

    def _decode(self, key: str, kind: type) -> Any:
        """The object; the last one that was understood if this one is not, None if there was none."""
        revision, text = self.objects[key]
        before = self._decoded.get(key)
        if before is not None and before[0] == revision:
            return before[1]
        try:
            found: Any = msgspec.json.decode(text, type=kind)
        except msgspec.DecodeError as error:
            _LOG.error("%s of revision %d is not understood: %s", key, revision, error)
            return None if before is None else before[1]
        self._decoded[key] = (revision, found)
        return found
