"""Lists of images: filters, order and pages, as clients ask for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kilostack.core.world import RealWorld
from kilostack.drivers.blobs.memory import MemoryBlobs
from kilostack.image.service import ImageService, Parts
from kilostack.image.store.tables import META
from tests.conftest import MakeDatabase
from tests.http.cloud import PROJECT, client
from tests.http.image.images import ImageClient

_FOUND = [
    ("", "public,empty, not yet,large,small"),
    ("?name=small", "small"),
    ("?name=SMALL", ""),
    ("?name=in:small,large", "large,small"),
    ("?name=in:%22empty,%20not%20yet%22,small", "empty, not yet,small"),
    ("?name=eq:small", "small"),
    ("?status=active", "large,small"),
    ("?status=in:queued,saving", "public,empty, not yet"),
    ("?disk_format=raw&container_format=bare", "large,small"),
    ("?disk_format=in:qcow2,raw", "large,small"),
    ("?visibility=public", "public"),
    ("?visibility=shared", "empty, not yet,large,small"),
    (f"?owner={PROJECT}", "empty, not yet,large,small"),
    ("?os_hidden=true", "hidden"),
    ("?os_hidden=True", "hidden"),
    ("?protected=true", "empty, not yet"),
    ("?size_min=15", "large"),
    ("?size_max=15", "small"),
    ("?size_min=10&size_max=20", "large,small"),
    ("?size_min=99999999999999999999", ""),
    ("?min_ram=64", "large"),
    ("?tag=a", "large,small"),
    ("?tag=a&tag=b", "large"),
    ("?os_distro=debian", "large,small"),
    ("?os_distro=" + "x" * 5000, "empty, not yet"),
    ("?os_distro=ubuntu", ""),
    ("?created_at=gt:2001-01-01T00:00:00Z&name=small", "small"),
    ("?created_at=lt:2001-01-01T00:00:00Z", ""),
    ("?updated_at=gte:2001-01-01&name=small", "small"),
    ("?created_at=gt:9999-12-31T23:59:59-23:59", ""),
    ("?created_at=gt:0001-01-01T00:00:00%2B23:59&name=small", "small"),
    ("?sort_key=name&sort_dir=asc", "empty, not yet,large,public,small"),
    ("?sort_key=name", "small,public,large,empty, not yet"),
    ("?sort=size:desc,name:asc", "large,small,empty, not yet,public"),
    ("?sort=name:asc,name:desc", "empty, not yet,large,public,small"),
    ("?sort_key=status&sort_key=name&sort_dir=asc", "large,small,empty, not yet,public"),
    ("?limit=0", ""),
    ("?limit=2", "public,empty, not yet"),
    ("?member_status=all&visibility=all&limit=1", "public"),
]
_REFUSED = [
    ("?limit=x", "limit param must be an integer"),
    ("?limit=-1", "limit param must be positive"),
    ("?limit=1_0", "limit param must be an integer"),
    ("?limit=%D9%A1", "limit param must be an integer"),
    ("?marker=nowhere", "nowhere"),
    ("?sort_key=owner", "Invalid sort key: owner"),
    ("?sort_key=name&sort_dir=up", "Invalid sort direction: up"),
    ("?sort=name:up", "Invalid sort direction"),
    ("?sort=name&sort_key=size", "Old and new sorting syntax cannot be combined"),
    ("?sort_key=name&sort_dir=asc&sort_dir=asc", "Number of sort dirs"),
    ("?visibility=secret", "Invalid visibility value: secret"),
    ("?os_hidden=maybe", "Invalid value 'maybe' for 'os_hidden' filter"),
    ("?protected=1", "'protected' filter"),
    ("?size_min=big", "non-numeric"),
    ("?min_disk=big", "non-numeric"),
    ("?created_at=yesterday", "ISO 8601"),
    ("?name=regex:a.*", "unknown operator 'regex'"),
    ("?name=in:%22open", "quote"),
    ("?changes-since=2001-01-01", "no longer available"),
    ("?member_status=odd", "Invalid status: odd"),
]


@pytest.fixture
async def images(make_database: MakeDatabase, world: RealWorld, tmp_path: Path) -> ImageClient:
    """Lists are SQL, so they run on both databases."""
    service = ImageService(Parts(db=await make_database(META), world=world, blobs=MemoryBlobs()))
    made = ImageClient(client([service.api], world))
    await made.active(b"x" * 10, name="small", os_distro="debian", tags=["a"])
    await made.active(b"x" * 20, name="large", os_distro="debian", tags=["a", "b"], min_ram=64)
    await made.create(name="empty, not yet", os_distro="x" * 5000, protected=True)
    await made.create(name="hidden", os_hidden=True)
    await made.create("other-member", name="theirs")
    await made.create("admin", name="public", visibility="public")
    return made


async def test_filters_and_order(images: ImageClient) -> None:
    for query, found in _FOUND:
        assert (query, ",".join(await images.names(query))) == (query, found)


async def test_an_administrator_sees_all(images: ImageClient) -> None:
    assert set(await images.names("", "admin")) == {"small", "large", "empty, not yet", "theirs", "public"}


async def test_what_a_list_refuses(images: ImageClient) -> None:
    for query, said in _REFUSED:
        answer = await images.ask("GET", f"/images{query}")
        assert (query, answer.status, said in answer.json()["message"]) == (query, 400, True), answer


async def test_another_project_s_image_is_no_marker(images: ImageClient) -> None:
    theirs = (await images.ask("GET", "/images", "other-member")).json()["images"][-1]
    assert theirs["name"] == "theirs"
    assert (await images.ask("GET", f"/images?marker={theirs['id']}")).status == 400


async def test_pages_are_followed_to_the_end(images: ImageClient) -> None:
    seen, path = [], "/images?sort=name:asc&limit=2"
    first = (await images.ask("GET", path)).json()["first"]
    while path:
        body = (await images.ask("GET", path)).json()
        assert body["first"] == first == "/v2/images?sort=name%3Aasc&limit=2"
        seen += [image["name"] for image in body["images"]]
        path = body.get("next", "").removeprefix("/v2")
    assert seen == ["empty, not yet", "large", "public", "small"]


async def test_filters_follow_changes(images: ImageClient) -> None:
    made = await images.create(name="moving", colour="red", tags=["old"])
    changes = [
        {"op": "replace", "path": "/colour", "value": "blue"},
        {"op": "replace", "path": "/tags", "value": ["new"]},
    ]
    assert (await images.patch(made["id"], changes)).status == 200
    found = {query: await images.names(query) for query in ("?colour=red", "?colour=blue", "?tag=old", "?tag=new")}
    assert found == {"?colour=red": [], "?colour=blue": ["moving"], "?tag=old": [], "?tag=new": ["moving"]}
    await images.ask("DELETE", f"/images/{made['id']}")
    assert await images.names("?colour=blue") == []
