"""The one word that clients wait for, made of a server's state and what is being done to it."""

from __future__ import annotations

from collections.abc import Sequence

from kilostack.compute.model.server import Server, ServerState

#: OS-EXT-STS:power_state
POWER_STATES: dict[ServerState, int] = {
    ServerState.BUILD: 0,
    ServerState.ACTIVE: 1,
    ServerState.SHUTOFF: 4,
    ServerState.ERROR: 0,
}
_BY_TASK: dict[tuple[ServerState, str], str] = {
    (ServerState.ACTIVE, "rebooting"): "REBOOT",
    (ServerState.ACTIVE, "reboot_pending"): "REBOOT",
    (ServerState.ACTIVE, "reboot_started"): "REBOOT",
    (ServerState.ACTIVE, "rebooting_hard"): "HARD_REBOOT",
    (ServerState.ACTIVE, "reboot_pending_hard"): "HARD_REBOOT",
    (ServerState.ACTIVE, "reboot_started_hard"): "HARD_REBOOT",
}
#: what upstream's servers can be and ours never are
_NEVER = frozenset(
    {
        *("DELETED", "MIGRATING", "PASSWORD", "PAUSED", "REBUILD", "RESCUE", "RESIZE", "REVERT_RESIZE", "SHELVED"),
        *("SHELVED_OFFLOADED", "SOFT_DELETED", "SUSPENDED", "VERIFY_RESIZE"),
    }
)


def status(server: Server) -> str:
    """What the API shows as `status`."""
    if server.task_state is None:
        return server.state
    return _BY_TASK.get((server.state, server.task_state), server.state.value)


def matching(statuses: Sequence[str]) -> tuple[set[str], set[str] | None] | None:
    """The states, and the tasks if they matter, of servers with one of `statuses`; None if no status is known."""
    asked = {text.upper() for text in statuses}
    plain = {state.value for state in ServerState if state.value in asked}
    tasks = {task: state.value for (state, task), shown in _BY_TASK.items() if shown in asked}
    if not plain and not tasks:
        return (set(), None) if asked & _NEVER else None
    return plain | set(tasks.values()), None if plain or not tasks else set(tasks)
