"""Images without their contents: create, show, change, tags, delete; who may, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.http.cloud import OTHER_PROJECT, PROJECT
from tests.http.image.images import BOOTABLE, OLD_PATCH, ImageClient

_KEYS = {
    *("id", "name", "status", "visibility", "protected", "os_hidden", "disk_format", "container_format", "size"),
    *("virtual_size", "checksum", "os_hash_algo", "os_hash_value", "min_disk", "min_ram", "owner", "tags"),
    *("created_at", "updated_at", "self", "file", "schema"),
}
_UUID = "12345678-1234-4123-8123-123456789abc"


async def test_an_image_with_nothing_said(images: ImageClient) -> None:
    answer = await images.ask("POST", "/images", json={})
    image = answer.json()
    assert answer.status == 201
    assert answer.headers["location"] == f"http://cloud.test/image/v2/images/{image['id']}"
    assert set(image) == _KEYS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", image["created_at"])
    path = f"/v2/images/{image['id']}"
    assert (image["self"], image["file"], image["schema"]) == (path, f"{path}/file", "/v2/schemas/image")
    expected = {
        "name": None,
        "status": "queued",
        "visibility": "shared",
        "protected": False,
        "os_hidden": False,
        "disk_format": None,
        "container_format": None,
        "size": None,
        "virtual_size": None,
        "checksum": None,
        "os_hash_algo": None,
        "os_hash_value": None,
        "min_disk": 0,
        "min_ram": 0,
        "owner": PROJECT,
        "tags": [],
    }
    assert {key: image[key] for key in expected} == expected
    assert await images.show(image["id"]) == image


async def test_everything_that_may_be_said(images: ImageClient) -> None:
    wanted = {
        "id": _UUID,
        "name": "näme \U0001f600",
        "visibility": "private",
        "protected": True,
        "os_hidden": True,
        "min_disk": 3,
        "min_ram": 512,
        "tags": ["b", "a", "b"],
        "disk_format": "qcow2",
        "container_format": "bare",
        "owner": PROJECT,
        "os_distro": "debian",
        "owner_specified.openstack.md5": "",
        "a/b~c": "x",
    }
    image = await images.create(**wanted)
    assert {key: image[key] for key in wanted} == wanted | {"tags": ["b", "a"]}
    again = await images.ask("POST", "/images", json={"id": _UUID})
    assert (again.status, again.json()["message"]) == (409, f"Image ID {_UUID} already exists!")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"disk_format": "vmdk"}, 400, "disk_format"),
        ({"container_format": "docker"}, 400, "container_format"),
        ({"name": 5}, 400, "name"),
        ({"name": "x" * 256}, 400, "name"),
        ({"name": "x" * 1_000_000}, 400, "name"),
        ({"min_disk": -1}, 400, "min_disk"),
        ({"min_ram": 2**40}, 400, "min_ram"),
        ({"min_ram": 1.5}, 400, "min_ram"),
        ({"protected": "yes"}, 400, "protected"),
        ({"tags": "a"}, 400, "tags"),
        ({"tags": ["x" * 256]}, 400, ""),
        ({"visibility": "secret"}, 400, "visibility"),
        ({"id": "not-a-uuid"}, 400, "id"),
        ({"custom": 5}, 400, "custom"),
        ({"custom": None}, 400, "custom"),
        ({"x" * 256: "y"}, 400, "255 characters"),
        ([], 400, "request body"),
        ("text", 400, "request body"),
        ({"status": "active"}, 403, "Attribute 'status' is read-only."),
        ({"self": "x"}, 403, "Attribute 'self' is read-only."),
        ({"deleted": "x"}, 403, "Attribute 'deleted' is reserved."),
        ({"os_glance_task": "x"}, 403, "Attribute 'os_glance_task' is reserved."),
        ({"visibility": "public"}, 403, "publicize_image"),
        ({"owner": OTHER_PROJECT}, 403, "not permitted to create images owned by"),
        ({f"p{number}": "x" for number in range(129)}, 413, "Attempted: 129, Maximum: 128"),
        ({"tags": [f"t{number}" for number in range(129)]}, 413, "allowed image tags"),
    ],
)
async def test_what_create_refuses(images: ImageClient, body: Any, status: int, said: str) -> None:
    answer = await images.ask("POST", "/images", json=body)
    assert answer.status == status, answer
    assert said in answer.json()["message"]
    assert len(answer.body) < 2000, "the answer does not repeat what was sent"
    assert await images.names() == []


@pytest.mark.parametrize(
    ("token", "create", "show", "change", "remove", "listed"),
    [
        ("member", 201, 200, 200, 204, 200),
        ("manager", 201, 200, 200, 204, 200),
        ("reader", 403, 200, 403, 403, 200),
        ("admin", 201, 200, 200, 204, 200),
        ("project-admin", 201, 200, 200, 204, 200),
        ("other-member", 201, 404, 404, 404, 200),
        ("none", 403, 404, 404, 404, 403),
        ("unscoped", 403, 404, 404, 404, 403),
        ("service", 403, 404, 404, 404, 200),
        (None, 401, 401, 401, 401, 401),
        ("wrong", 401, 401, 401, 401, 401),
    ],
)
async def test_personas(
    images: ImageClient, token: str | None, create: int, show: int, change: int, remove: int, listed: int
) -> None:
    image = await images.create(name="mine")
    path = f"/images/{image['id']}"
    assert (await images.ask("POST", "/images", token, json={})).status == create
    assert (await images.ask("GET", path, token)).status == show
    assert (await images.patch(image["id"], [], token)).status == show
    assert (await images.patch(image["id"], [{"op": "add", "path": "/x", "value": "y"}], token)).status == change
    assert (await images.ask("PUT", f"{path}/tags/t", token)).status == (204 if change == 200 else change)
    assert (await images.ask("GET", "/images", token)).status == listed
    assert (await images.ask("DELETE", path, token)).status == remove


async def test_public_and_community_images_are_seen_but_not_changed_by_others(images: ImageClient) -> None:
    public = await images.create("admin", name="public", visibility="public")
    community = await images.create(name="community", visibility="community")
    for image in (public, community):
        path = f"/images/{image['id']}"
        assert (await images.ask("GET", path, "other-member")).status == 200
        assert (await images.ask("DELETE", path, "other-member")).status == 403
        change = [{"op": "replace", "path": "/name", "value": "x"}]
        assert (await images.patch(image["id"], change, "other-member")).status == 403
    assert await images.names("", "other-member") == ["public"], "community images are listed only when asked for"
    assert await images.names("?visibility=community", "other-member") == ["community"]
    assert set(await images.names("?visibility=all", "other-member")) == {"public", "community"}
    assert set(await images.names("", "member")) == {"public", "community"}


async def test_a_patch_is_applied_in_order_and_as_a_whole(images: ImageClient) -> None:
    image = await images.create(name="a", colour="red")
    answer = await images.patch(
        image["id"],
        [
            {"op": "replace", "path": "/name", "value": "b"},
            {"op": "add", "path": "/name", "value": "c"},
            {"op": "add", "path": "/new~1x~0y", "value": "1"},
            {"op": "replace", "path": "/new~1x~0y", "value": "2"},
            {"op": "remove", "path": "/colour"},
            {"op": "replace", "path": "/tags", "value": ["t", "t"]},
            {"op": "add", "path": "/min_ram", "value": 64},
        ],
    )
    assert answer.status == 200
    found = answer.json()
    assert (found["name"], found["new/x~y"], found["tags"], found["min_ram"]) == ("c", "2", ["t"], 64)
    assert "colour" not in found
    assert await images.show(image["id"]) == found
    answer = await images.patch(
        image["id"],
        [{"op": "replace", "path": "/name", "value": "never"}, {"op": "remove", "path": "/nothing"}],
    )
    assert (answer.status, answer.json()["message"]) == (409, "Property nothing does not exist.")
    assert await images.show(image["id"]) == found


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"op": "replace", "path": "/id", "value": "x"}, 403, "Attribute 'id' is read-only."),
        ({"op": "remove", "path": "/status"}, 403, "read-only"),
        ({"op": "add", "path": "/deleted", "value": "x"}, 403, "reserved"),
        ({"op": "remove", "path": "/name"}, 403, "Property name may not be removed."),
        ({"op": "replace", "path": "/owner", "value": OTHER_PROJECT}, 403, "Owner can't be updated by non admin."),
        ({"op": "replace", "path": "/visibility", "value": "public"}, 403, "publicize_image"),
        ({"op": "add", "path": "/locations/-", "value": {}}, 403, "locations"),
        ({"op": "replace", "path": "/nothing", "value": "x"}, 409, "does not exist"),
        ({"op": "replace", "path": "/name", "value": 5}, 400, "name"),
        ({"op": "add", "path": "/custom", "value": 5}, 400, "custom"),
        ({"op": "add", "path": "/custom"}, 400, 'requires a member named "value"'),
        ({"op": "move", "path": "/name", "value": "x"}, 400, "Invalid operation: `move`"),
        ({"op": ["add"], "path": "/name", "value": "x"}, 400, "Invalid operation"),
        ({"path": "/name"}, 400, "Unable to find `op`"),
        ({"op": "remove"}, 400, "Unable to find 'path'"),
        ({"op": "remove", "path": 5}, 400, "path must be a string"),
        ({"op": "remove", "path": "name"}, 400, 'does not start with "/"'),
        ({"op": "remove", "path": "/name/"}, 400, "empty part"),
        ({"op": "remove", "path": "/a//b"}, 400, "empty part"),
        ({"op": "remove", "path": "/"}, 400, ""),
        ({"op": "remove", "path": "/a~2"}, 400, "escape sequence"),
        ({"op": "remove", "path": "/tags/0"}, 400, "Invalid JSON pointer for this resource: '/tags/0'"),
        ({"op": "add", "path": "/" + "x" * 256, "value": "y"}, 400, "255 characters"),
        ("text", 400, "Operations must be JSON objects."),
    ],
)
async def test_what_a_patch_refuses(images: ImageClient, change: Any, status: int, said: str) -> None:
    image = await images.create(name="a")
    answer = await images.patch(image["id"], [change])
    assert (answer.status, said in answer.json()["message"]) == (status, True), answer
    assert await images.show(image["id"]) == image


async def test_the_older_form_of_a_patch(images: ImageClient) -> None:
    image = await images.create(name="a")
    changes = [{"replace": "/name", "value": "b"}, {"add": "/x", "value": "1"}]
    assert (await images.patch(image["id"], changes, media=OLD_PATCH)).json()["name"] == "b"
    again = await images.patch(image["id"], [{"add": "/x", "value": "1"}], media=OLD_PATCH)
    assert (again.status, again.json()["message"]) == (409, "Property x already present.")
    assert (await images.patch(image["id"], [{"replace": "/x", "add": "/y"}], media=OLD_PATCH)).status == 400


async def test_a_patch_of_another_type_or_shape(images: ImageClient) -> None:
    image = await images.create(name="a")
    wrong = await images.patch(image["id"], [], media="application/json")
    assert (wrong.status, "Image PATCH expects Content-Type one of" in wrong.json()["message"]) == (415, True)
    assert (await images.patch(image["id"], {"op": "add"})).status == 400
    empty = await images.patch(image["id"], [])
    assert (empty.status, empty.json()) == (200, image)


async def test_an_administrator_may_publish_and_give_away(images: ImageClient) -> None:
    image = await images.create(name="a")
    changes = [
        {"op": "replace", "path": "/visibility", "value": "public"},
        {"op": "replace", "path": "/owner", "value": OTHER_PROJECT},
    ]
    found = (await images.patch(image["id"], changes, "admin")).json()
    assert (found["visibility"], found["owner"]) == ("public", OTHER_PROJECT)


async def test_formats_are_fixed_once_there_is_content(images: ImageClient) -> None:
    image = await images.active(**BOOTABLE)
    answer = await images.patch(image["id"], [{"op": "replace", "path": "/disk_format", "value": "qcow2"}])
    assert (answer.status, "only replaced for a queued image" in answer.json()["message"]) == (403, True)


async def test_tags(images: ImageClient) -> None:
    image = await images.create(name="a", tags=["x"])
    path = f"/images/{image['id']}/tags"
    for tag in ("y", "x", "a%20b%C3%A4"):
        assert (await images.ask("PUT", f"{path}/{tag}")).status == 204
    assert (await images.show(image["id"]))["tags"] == ["y", "x", "a bä"]
    assert (await images.ask("DELETE", f"{path}/x")).status == 204
    assert (await images.ask("DELETE", f"{path}/x")).status == 404
    assert (await images.ask("PUT", f"{path}/{'x' * 256}")).status == 400
    assert (await images.show(image["id"]))["tags"] == ["y", "a bä"]


async def test_a_protected_image_is_not_deleted(images: ImageClient) -> None:
    image = await images.create(name="a", protected=True)
    path = f"/images/{image['id']}"
    answer = await images.ask("DELETE", path)
    expected = f"Image {image['id']} is protected and cannot be deleted."
    assert (answer.status, answer.json()["message"]) == (403, expected)
    await images.patch(image["id"], [{"op": "replace", "path": "/protected", "value": False}])
    assert (await images.ask("DELETE", path)).status == 204
    assert (await images.ask("GET", path)).status == 404
    assert (await images.ask("DELETE", path)).status == 404


async def test_an_id_is_not_given_out_again(images: ImageClient) -> None:
    await images.create(id=_UUID)
    await images.ask("DELETE", f"/images/{_UUID}")
    assert (await images.ask("POST", "/images", json={"id": _UUID})).status == 409


@pytest.mark.parametrize("garbage", ["x", "%00", "%FF", "%F0%9F%98%80", "a%2Fb", "x" * 3000, "..%2F..%2Fetc", "%3F"])
async def test_garbage_ids_are_not_found(images: ImageClient, garbage: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/file"), ("PUT", "/tags/x"), ("GET", "/nothing")):
        answer = await images.ask(method, f"/images/{garbage}{path}")
        assert answer.status in (400, 404), (method, path, answer)
    assert (await images.upload(garbage, b"x")).status in (400, 404)


async def test_an_empty_id_is_not_found(images: ImageClient) -> None:
    """Clients rely on it: a missing id must not list, or act on, everything."""
    await images.create()
    for method, path in (("GET", "/images/"), ("DELETE", "/images/"), ("GET", "/images//file"), ("PATCH", "/images/")):
        assert (await images.ask(method, path)).status == 404, (method, path)


async def test_schemas_and_versions(images: ImageClient) -> None:
    schema = (await images.ask("GET", "/schemas/image")).json()
    assert (schema["name"], schema["properties"]["disk_format"]["enum"]) == ("image", [None, "raw", "qcow2"])
    assert set(schema["properties"]) >= _KEYS
    assert (await images.ask("GET", "/schemas/images")).json()["name"] == "images"
    for path in ("", "/"):
        answer = await images.ask("GET", path, None)
        assert (answer.status, answer.json()["versions"][0]["status"]) == (300, "CURRENT")


async def test_what_is_not_offered_is_not_there(images: ImageClient) -> None:
    image = await images.create()
    for path in ("/info/stores", "/info/import", f"/images/{image['id']}/members", "/tasks", "/metadefs/namespaces"):
        answer = await images.ask("GET", path)
        assert (answer.status, answer.json()["title"]) == (404, "Not Found")
    assert (await images.ask("PUT", "/images")).status == 405
