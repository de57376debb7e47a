"""What a list of servers may be asked for: filters, order, page; which of it for whom, and since when."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from kilostack.compute.api import queries
from kilostack.compute.api.formats import flag, parse_time, time_z
from kilostack.compute.model.patterns import BadPattern, Pattern
from kilostack.compute.model.server import Server, vm_state
from kilostack.compute.model.status import POWER_STATES, matching
from kilostack.compute.store.server_lists import SORTS, Ask
from kilostack.core.errors import BadRequest, Forbidden
from kilostack.http.messages import Request

Keep = Callable[[Server], bool]

#: filters for everybody, with the version that brought them
_FOR_ALL = {
    **dict.fromkeys(("reservation_id", "name", "status", "image", "flavor", "ip", "changes-since", "all_tenants"), 1),
    "ip6": 5,
    **dict.fromkeys(("tags", "tags-any", "not-tags", "not-tags-any"), 26),
    "changes-before": 66,
    "locked": 73,
    **dict.fromkeys(
        (
            *("availability_zone", "config_drive", "key_name", "created_at", "launched_at", "terminated_at"),
            *("power_state", "task_state", "vm_state", "progress", "user_id"),
        ),
        83,
    ),
}
#: filters for those whom `allow_all_filters` allows
_FOR_ADMINS = frozenset(
    {
        *("user_id", "project_id", "tenant_id", "launch_index", "image_ref", "kernel_id", "ramdisk_id", "hostname"),
        *("key_name", "power_state", "vm_state", "task_state", "host", "node", "launched_at", "terminated_at"),
        *("availability_zone", "display_name", "description", "display_description", "locked_by", "uuid"),
        *("root_device_name", "config_drive", "access_ip_v4", "access_ip_v6", "auto_disk_config", "progress"),
        *("soft_deleted", "deleted", "created_at", "ip6"),
    }
)
_PAGING = frozenset({"limit", "marker", "sort_key", "sort_dir"})
#: names of upstream's tables that are refused rather than ignored
_JOINED = frozenset(
    {
        *("block_device_mapping", "services", "metadata", "system_metadata", "info_cache", "security_groups"),
        "pci_devices",
    }
)
#: sort keys that upstream accepted once and ignores
_IGNORED_SORTS = frozenset(
    {
        *("architecture", "cell_name", "cleaned", "default_ephemeral_device", "default_swap_device", "deleted"),
        *("deleted_at", "disable_terminate", "ephemeral_gb", "ephemeral_key_uuid", "id", "key_data", "launched_on"),
        *("memory_mb", "os_type", "reservation_id", "root_gb", "shutdown_terminate", "user_data", "vcpus", "vm_mode"),
    }
)
#: valid keys whose value is the same for every server
_CONSTANT_SORTS = frozenset(
    {"instance_type_id", "kernel_id", "locked_by", "progress", "ramdisk_id", "root_device_name", "terminated_at"}
)
_ADMIN_SORTS = frozenset({"host", "node"})
_MOST_SORTS = 8
#: filter -> condition of the store
_EQUAL = {
    "image": "image_id",
    "image_ref": "image_id",
    "host": "host",
    "node": "host",
    "uuid": "id",
    "reservation_id": "reservation_id",
    "user_id": "user_id",
}
#: filter -> what its regular expression looks at
_MATCHED: dict[str, Callable[[Server], str]] = {
    "hostname": lambda server: server.hostname,
    "key_name": lambda server: server.key_name or "",
    "description": lambda server: server.description or "",
    "availability_zone": lambda server: server.wanted_zone or "nova",
    "access_ip_v4": lambda server: server.access_ip_v4,
    "access_ip_v6": lambda server: server.access_ip_v6,
    "created_at": lambda server: time_z(server.created_at),
    "launched_at": lambda server: "" if server.launched_at is None else time_z(server.launched_at),
    "config_drive": lambda server: "True" if server.config_drive else "",
    "auto_disk_config": lambda server: str(server.disk_config == "AUTO"),
    "root_device_name": lambda server: "/dev/vda",
    "power_state": lambda server: str(POWER_STATES[server.state] if server.host else 0),
    "vm_state": lambda server: vm_state(server.state),
    "task_state": lambda server: server.task_state or "",
    "progress": lambda server: "0",
    "kernel_id": lambda server: "",
    "ramdisk_id": lambda server: "",
    "terminated_at": lambda server: "",
    "locked_by": lambda server: "" if not server.locked else "admin" if server.locked_by_admin else "owner",
}
_SAME = {"display_name": "name", "display_description": "description", "tenant_id": "project_id"}


@functools.cache
def _for_all(minor: int) -> frozenset[str]:
    return frozenset(name for name, since in _FOR_ALL.items() if minor >= since)


class Listed:
    """A request for a list, read: the question to the store, and whether it goes beyond the caller's project."""

    def __init__(self, request: Request, *, all_filters: bool, admin: bool) -> None:
        self._request, self._all_filters, self._admin = request, all_filters, admin
        self._keeps: list[Keep] = []
        self._equal: dict[str, tuple[Any, ...]] = {}
        self._compared: dict[str, int] = {}
        self._name: Callable[[str], bool] | None = None
        #: nothing can match
        self.empty = False
        self.everywhere = False
        self._check_known()
        self._filters = self._allowed()
        self._read()

    def ask(self, project_id: str) -> Ask:
        """The question to the store, about one project unless it is about all."""
        equal = self._equal if self.everywhere else {"project_id": (project_id,), **self._equal}
        keeps = self._keeps
        return Ask(
            equal=equal,
            compared=self._compared,
            sort=self._sort(),
            marker=queries.marker(self._request),
            limit=queries.limit(self._request),
            name=self._name,
            keep=(lambda server: all(keep(server) for keep in keeps)) if keeps else None,
        )

    def _check_known(self) -> None:
        queries.known(self._request, _for_all(self._request.version[1]) | _FOR_ADMINS | _PAGING | _JOINED)
        for name in self._request.query.names():
            if name in _JOINED or name.startswith("_"):
                raise BadRequest(f"Invalid filter field: {name[:64]}.", field=name)

    def _allowed(self) -> dict[str, list[str]]:
        """Filters that count; others are ignored, as upstream does."""
        allowed = _for_all(self._request.version[1])
        if self._all_filters:
            allowed = allowed | _FOR_ADMINS
        filters: dict[str, list[str]] = {}
        for name, value in self._request.query.items:
            if name in allowed:
                filters.setdefault(_SAME.get(name, name), []).append(value)
        return filters

    def _read(self) -> None:
        self._read_scope()
        for name, values in self._filters.items():
            value = values[-1]
            if name in _EQUAL:
                self._equal[_EQUAL[name]] = (value,)
            elif name == "name":
                self._name = self._pattern(name, value).found_in
            elif name == "launch_index":
                self._equal[name] = (queries.number(self._request, name),)
            elif name in ("changes-since", "changes-before"):
                self._compared[name.replace("changes-", "changed_")] = parse_time(value, name)
            elif name == "locked":
                self._equal[name] = (self._flag(name, value),)
            elif name in _MATCHED:
                self._match(name, _MATCHED[name])
            elif name in ("deleted", "soft_deleted"):
                # what is deleted is gone
                self.empty = self.empty or bool(flag(value))
        self._read_status()
        self._read_others()
        since, before = self._compared.get("changed_since"), self._compared.get("changed_before")
        if since is not None and before is not None and since > before:
            raise BadRequest("The value of changes-since must be less than or equal to changes-before.")

    def _read_scope(self) -> None:
        if "all_tenants" in self._filters:
            value = self._filters["all_tenants"][-1]
            self.everywhere = True if value == "" else self._flag("all_tenants", value)
        if self.everywhere and "project_id" in self._filters:
            self._equal["project_id"] = (self._filters["project_id"][-1],)

    def _read_status(self) -> None:
        if "status" not in self._filters:
            return
        asked = self._filters["status"]
        if "DELETED" in (text.upper() for text in asked) and not self._admin:
            raise Forbidden("Only administrators may list deleted instances")
        found = matching(asked)
        if found is None and self._request.version >= (2, 38):
            raise BadRequest("Invalid status value", field="status")
        states, tasks = found or (set(), None)
        if not states:
            self.empty = True
            return
        self._equal["state"] = tuple(sorted(states))
        if tasks is not None:
            self._equal["task_state"] = tuple(sorted(tasks))

    def _read_others(self) -> None:
        if "flavor" in self._filters:
            flavor_id = self._filters["flavor"][-1]
            self._keeps.append(lambda server: server.flavor.id == flavor_id)
        for name, version in (("ip", 4), ("ip6", 6)):
            if name in self._filters:
                self._keeps.append(_with_address(self._pattern(name, self._filters[name][-1]), version))
        for name, test in _TAG_TESTS.items():
            if name in self._filters:
                tags = frozenset(self._filters[name][-1].split(","))
                self._keeps.append(lambda server, test=test, tags=tags: test(tags, frozenset(server.tags)))  # type: ignore[misc]

    def _match(self, name: str, of: Callable[[Server], str]) -> None:
        pattern = self._pattern(name, self._filters[name][-1])
        self._keeps.append(lambda server: pattern.found_in(of(server)))

    @staticmethod
    def _pattern(name: str, text: str) -> Pattern:
        try:
            return Pattern(text)
        except BadPattern as error:
            raise BadRequest(
                f"Invalid input for query parameters {name}. Value: {text[:64]}. It is no regular expression: {error}.",
                field=name,
            ) from None

    @staticmethod
    def _flag(name: str, text: str) -> bool:
        if (value := flag(text)) is None:
            raise BadRequest(f"Invalid value '{text[:64]}' for {name}: use true or false.", field=name)
        return value

    def _sort(self) -> tuple[tuple[str, bool], ...]:
        keys = [key.strip() for key in self._request.query.all("sort_key")]
        directions = [text.strip().lower() for text in self._request.query.all("sort_dir")]
        ignored = _IGNORED_SORTS | (set() if self._request.version >= (2, 73) else {"locked"})
        if self._request.version >= queries.STRICT:
            ignored = frozenset()
        kept = []
        for at, key in enumerate(keys[:_MOST_SORTS]):
            if key in ignored or key in _CONSTANT_SORTS:
                continue
            if key not in SORTS:
                raise BadRequest(f"Invalid input for query parameters sort_key. Value: {key[:64]}.", field="sort_key")
            if key in _ADMIN_SORTS and not self._admin:
                raise Forbidden(f"Only administrators can sort servers by {key}")
            kept.append((key, _descending(directions, at)))
        return tuple(kept) or (("created_at", _descending(directions, 0)),)


def _descending(directions: Sequence[str], at: int) -> bool:
    # the last direction holds for the keys that follow
    direction = directions[min(at, len(directions) - 1)] if directions else "desc"
    if direction not in ("asc", "desc"):
        raise BadRequest(f"Unknown sort direction '{direction[:16]}': use asc or desc.", field="sort_dir")
    return direction == "desc"


def _with_address(pattern: Pattern, version: int) -> Keep:
    return lambda server: any(
        address.version == version and pattern.found_in(address.address) for address in server.networking.addresses
    )


_TAG_TESTS: dict[str, Callable[[frozenset[str], frozenset[str]], bool]] = {
    "tags": lambda asked, has: asked <= has,
    "tags-any": lambda asked, has: bool(asked & has),
    "not-tags": lambda asked, has: not asked <= has,
    "not-tags-any": lambda asked, has: not asked & has,
}
