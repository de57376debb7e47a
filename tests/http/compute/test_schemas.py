"""Every answer has exactly the form that Tempest's response schemas ask for, at the versions that the suite checks."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.compute.model.server import Fault, ServerState
from kilostack.compute.store import servers
from kilostack.compute.store.tables import FLAVORS, KEYPAIRS, SERVERS
from kilostack.store.database import Tx
from tests.compute.stand_ins import FLAVOR_RECORDS, IMAGE, KEY_RECORD, NOW, PORT, finish_build, host_uuid
from tests.http.cloud import PROJECT
from tests.http.compute.face import Cloud
from tests.http.schemas import VERSIONS, check_response

_SERVICE = "44444444-4444-4444-8444-000000000001"
_FLAVOR = {"name": "new", "ram": 64, "vcpus": 1, "disk": 1, "id": "new"}
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILlBc5F9Lc7/Svqb5pdDy+rtW2Y+2zelKZncBHQUYO/1 someone@somewhere"
#: operation, method, path, body, token, first version
_OPERATIONS: list[tuple[str, str, str, Any, str, tuple[int, int]]] = [
    ("show_version", "GET", "", None, "member", (2, 1)),
    ("list_extensions", "GET", "/extensions", None, "member", (2, 1)),
    ("show_limits", "GET", "/limits", None, "member", (2, 1)),
    ("list_availability_zones", "GET", "/os-availability-zone", None, "member", (2, 1)),
    ("list_availability_zones_detail", "GET", "/os-availability-zone/detail", None, "admin", (2, 1)),
    ("list_flavors", "GET", "/flavors?limit=1", None, "member", (2, 1)),
    ("list_flavors_detail", "GET", "/flavors/detail?limit=1", None, "member", (2, 1)),
    ("show_flavor", "GET", "/flavors/2", None, "member", (2, 1)),
    ("create_flavor", "POST", "/flavors", {"flavor": _FLAVOR}, "admin", (2, 1)),
    ("update_flavor", "PUT", "/flavors/2", {"flavor": {"description": "d"}}, "admin", (2, 55)),
    ("delete_flavor", "DELETE", "/flavors/2", None, "admin", (2, 1)),
    ("list_flavor_extra_specs", "GET", "/flavors/2/os-extra_specs", None, "member", (2, 1)),
    (
        "create_flavor_extra_specs",
        "POST",
        "/flavors/2/os-extra_specs",
        {"extra_specs": {"hw:x": "1"}},
        "admin",
        (2, 1),
    ),
    ("show_flavor_extra_spec", "GET", "/flavors/2/os-extra_specs/a:b", None, "member", (2, 1)),
    ("update_flavor_extra_spec", "PUT", "/flavors/2/os-extra_specs/a:b", {"a:b": "d"}, "admin", (2, 1)),
    ("delete_flavor_extra_spec", "DELETE", "/flavors/2/os-extra_specs/a:b", None, "admin", (2, 1)),
    ("list_flavor_access", "GET", "/flavors/9/os-flavor-access", None, "admin", (2, 1)),
    ("add_flavor_access", "POST", "/flavors/9/action", {"addTenantAccess": {"tenant": PROJECT}}, "admin", (2, 1)),
    ("list_keypairs", "GET", "/os-keypairs", None, "member", (2, 1)),
    ("create_keypair", "POST", "/os-keypairs", {"keypair": {"name": "n", "public_key": _KEY}}, "member", (2, 1)),
    ("show_keypair", "GET", "/os-keypairs/k", None, "member", (2, 1)),
    ("delete_keypair", "DELETE", "/os-keypairs/k", None, "member", (2, 1)),
    ("list_servers", "GET", "/servers?limit=1", None, "member", (2, 1)),
    ("list_servers_detail", "GET", "/servers/detail?limit=1", None, "member", (2, 1)),
    ("list_servers_detail", "GET", "/servers/detail?all_tenants=1", None, "admin", (2, 1)),
    ("show_server", "GET", "/servers/{active}", None, "member", (2, 1)),
    ("show_server", "GET", "/servers/{active}", None, "admin", (2, 1)),
    ("show_server", "GET", "/servers/{failed}", None, "admin", (2, 1)),
    ("show_server", "GET", "/servers/{building}", None, "reader", (2, 1)),
    ("update_server", "PUT", "/servers/{active}", {"server": {"name": "two"}}, "member", (2, 1)),
    ("delete_server", "DELETE", "/servers/{active}", None, "member", (2, 1)),
    ("list_addresses", "GET", "/servers/{active}/ips", None, "member", (2, 1)),
    ("list_addresses_by_network", "GET", "/servers/{active}/ips/private", None, "member", (2, 1)),
    ("list_server_metadata", "GET", "/servers/{active}/metadata", None, "member", (2, 1)),
    ("set_server_metadata", "PUT", "/servers/{active}/metadata", {"metadata": {"a": "b"}}, "member", (2, 1)),
    ("update_server_metadata", "POST", "/servers/{active}/metadata", {"metadata": {"a": "b"}}, "member", (2, 1)),
    ("show_server_metadata_item", "GET", "/servers/{active}/metadata/kept", None, "member", (2, 1)),
    ("update_server_metadata_item", "PUT", "/servers/{active}/metadata/x", {"meta": {"x": "y"}}, "member", (2, 1)),
    ("delete_server_metadata_item", "DELETE", "/servers/{active}/metadata/kept", None, "member", (2, 1)),
    ("list_server_tags", "GET", "/servers/{active}/tags", None, "member", (2, 26)),
    ("replace_server_tags", "PUT", "/servers/{active}/tags", {"tags": ["x", "y"]}, "member", (2, 26)),
    ("delete_server_tags", "DELETE", "/servers/{active}/tags", None, "member", (2, 26)),
    ("check_server_tag", "GET", "/servers/{active}/tags/t", None, "member", (2, 26)),
    ("add_server_tag", "PUT", "/servers/{active}/tags/new", None, "member", (2, 26)),
    ("delete_server_tag", "DELETE", "/servers/{active}/tags/t", None, "member", (2, 26)),
    ("list_server_actions", "GET", "/servers/{active}/os-instance-actions", None, "member", (2, 1)),
    ("show_server_action", "GET", "/servers/{active}/os-instance-actions/{request}", None, "member", (2, 1)),
    ("show_server_action", "GET", "/servers/{active}/os-instance-actions/{request}", None, "admin", (2, 1)),
    ("show_console_output", "POST", "/servers/{active}/action", {"os-getConsoleOutput": {}}, "member", (2, 1)),
    ("server_action", "POST", "/servers/{active}/action", {"os-stop": None}, "member", (2, 1)),
    ("server_action", "POST", "/servers/{active}/action", {"reboot": {"type": "HARD"}}, "member", (2, 1)),
    ("server_action", "POST", "/servers/{active}/action", {"lock": None}, "member", (2, 1)),
    ("server_action", "POST", "/servers/{active}/action", {"addSecurityGroup": {"name": "g"}}, "member", (2, 1)),
    ("list_interfaces", "GET", "/servers/{active}/os-interface", None, "member", (2, 1)),
    ("show_interface", "GET", "/servers/{active}/os-interface/{port}", None, "member", (2, 1)),
    ("list_server_security_groups", "GET", "/servers/{active}/os-security-groups", None, "member", (2, 1)),
    ("show_quotas", "GET", f"/os-quota-sets/{PROJECT}", None, "member", (2, 1)),
    ("show_default_quotas", "GET", f"/os-quota-sets/{PROJECT}/defaults", None, "member", (2, 1)),
    ("show_quotas_detail", "GET", f"/os-quota-sets/{PROJECT}/detail", None, "member", (2, 1)),
    ("update_quotas", "PUT", f"/os-quota-sets/{PROJECT}", {"quota_set": {"cores": 40}}, "admin", (2, 1)),
    ("delete_quotas", "DELETE", f"/os-quota-sets/{PROJECT}", None, "admin", (2, 1)),
    ("list_aggregates", "GET", "/os-aggregates", None, "admin", (2, 1)),
    ("list_services", "GET", "/os-services", None, "admin", (2, 1)),
    ("update_service", "PUT", f"/os-services/{_SERVICE}", {"status": "disabled"}, "admin", (2, 53)),
    ("list_hypervisors", "GET", "/os-hypervisors", None, "admin", (2, 1)),
    ("list_hypervisors_detail", "GET", "/os-hypervisors/detail", None, "admin", (2, 1)),
    ("show_hypervisor", "GET", "/os-hypervisors/{hypervisor}", None, "admin", (2, 1)),
    ("show_hypervisor_statistics", "GET", "/os-hypervisors/statistics", None, "admin", (2, 1)),
]
#: Tempest has no schema of hypervisors as they are from 2.88 on
_HYPERVISORS_UNTIL = (2, 87)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: f"{version[0]}.{version[1]}")
async def test_answers_have_the_form_of_their_version(cloud: Cloud, version: tuple[int, int]) -> None:
    shown = f"{version[0]}.{version[1]}"
    building = await cloud.server("building", built=False, metadata={"a": "b"})
    failed = await cloud.server("failed", built=False)
    fault = Fault(code=500, message="No valid host was found.", created_at=NOW, details="more")
    await finish_build(cloud.db, failed, ServerState.ERROR, host=None, launched_at=None, fault=fault)
    for operation, method, path, body, token, first in _OPERATIONS:
        if version < first or ("hypervisor" in operation and version > _HYPERVISORS_UNTIL):
            continue
        await cloud.ask("DELETE", "/flavors/new", token="admin")
        await cloud.ask("DELETE", "/os-keypairs/n")
        active = await cloud.server("active", metadata={"kept": "1"}, tags=["t"], user_data="AAAA", key_name="k")
        actions = await cloud.ask("GET", f"/servers/{active}/os-instance-actions")
        names = {
            "active": active,
            "building": building,
            "failed": failed,
            "request": actions.json()["instanceActions"][0]["request_id"],
            "port": PORT,
            "hypervisor": host_uuid(1) if version >= (2, 53) else "1",
        }
        try:
            answer = await cloud.ask(method, path.format(**names), body, token=token, version=shown)
            check_response("compute", operation, version, answer.json(), status=answer.status)
        finally:
            await _restore(cloud, active)


async def _restore(cloud: Cloud, server_id: str) -> None:
    """Undo what an operation took away, and free the quota of its server."""

    async def unit(tx: Tx) -> None:
        await servers.remove(tx, await SERVERS.get(tx, id=server_id))
        for flavor in FLAVOR_RECORDS:
            await FLAVORS.delete(tx, id=flavor.id)
            await FLAVORS.insert(tx, flavor)
        await KEYPAIRS.delete(tx, user_id=KEY_RECORD.user_id, name=KEY_RECORD.name)
        await KEYPAIRS.insert(tx, KEY_RECORD)

    await cloud.db.write(unit)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: f"{version[0]}.{version[1]}")
async def test_a_created_server_is_answered_as_its_version_says(cloud: Cloud, version: tuple[int, int]) -> None:
    shown = f"{version[0]}.{version[1]}"
    body = {"name": "n", "flavorRef": "1", "imageRef": IMAGE, **({"networks": "auto"} if version >= (2, 37) else {})}
    answer = await cloud.ask("POST", "/servers", {"server": body}, version=shown)
    check_response("compute", "create_server_with_password", version, answer.json(), status=answer.status)
    assert answer.headers["location"].endswith(f"/compute/v2.1/servers/{answer.json()['server']['id']}")
