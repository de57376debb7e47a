"""Trees of projects, and conditions over their tags, on a database of either kind."""

from __future__ import annotations

import msgspec
import pytest
from asyncmy.errors import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from kilostack.core.context import internal
from kilostack.core.vault import Vault
from kilostack.core.world import RealWorld
from kilostack.identity.app.ground import Ground, IdentityParts
from kilostack.identity.app.projects import Projects
from kilostack.identity.model.projects import Domain, IdTree, Project, parents_as_ids, subtree_as_ids
from kilostack.identity.store.projects import DOMAINS, PROJECT_LIST, PROJECTS, find_project, parents_of, subtree_of
from kilostack.identity.store.tables import META
from kilostack.store.database import Database, Tx
from kilostack.store.lists import Ask, Where
from tests.conftest import MakeDatabase
from tests.databases import by_hand
from tests.identity.conftest import Site


def _project(number: int, parent: int) -> Project:
    return Project(id=f"p{number}", name=f"p{number}", domain_id="d", parent_id=f"p{parent}" if parent else "d")


def _flat(tree: IdTree | None, parent: str) -> dict[str, str]:
    """id -> parent of all that is in a tree."""
    found: dict[str, str] = {}
    for child, below in (tree or {}).items():
        found |= {child: parent} | _flat(below, child)
    return found


@given(st.lists(st.integers(min_value=0, max_value=19), max_size=20))
def test_a_tree_of_ids_has_each_project_once_below_its_parent(parents: list[int]) -> None:
    projects = [_project(number, min(parent, number - 1)) for number, parent in enumerate(parents, 1)]
    assert _flat(subtree_as_ids("d", projects), "d") == {one.id: one.parent_id for one in projects}


def test_parents_are_nested_upwards() -> None:
    assert parents_as_ids([]) is None
    domain = Domain(id="d", name="d").as_project()
    assert parents_as_ids([_project(2, 1), _project(1, 0), domain]) == {"p2": {"p1": {"d": None}}}
    assert domain.is_domain
    assert not _project(1, 0).is_domain


async def test_up_and_down_the_tree(make_database: MakeDatabase) -> None:
    db = await make_database(META)

    async def seed(tx: Tx) -> None:
        await DOMAINS.insert(tx, Domain(id="d", name="d"))
        for number, parent in ((1, 0), (2, 1), (3, 1), (4, 2)):
            await PROJECTS.insert(tx, _project(number, parent))

    await db.write(seed)
    up = await db.read(lambda tx: parents_of(tx, _project(4, 2)))
    assert [one.id for one in up] == ["p2", "p1", "d"]
    assert sorted(one.id for one in await db.read(lambda tx: subtree_of(tx, "p1"))) == ["p2", "p3", "p4"]
    assert len(await db.read(lambda tx: subtree_of(tx, "d"))) == 4
    assert await db.read(lambda tx: subtree_of(tx, "p4")) == []


_TAGGED = {"none": (), "a": ("a",), "ab": ("a", "b"), "A": ("A",), "strange": ('q"uote', "über", "a,b")}


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ([("tags", ("a",))], {"a", "ab"}),
        ([("tags", ("a", "b"))], {"ab"}),
        ([("tags", ("b", "c"))], set()),
        ([("tags", ("A",))], {"A"}),
        ([("tags", ("",))], set()),
        ([("tags", ('q"uote', "über"))], {"strange"}),
        ([("tags-any", ("b", "A"))], {"ab", "A"}),
        ([("tags-any", ("c",))], set()),
        ([("tags-any", ("über", "x"))], {"strange"}),
        ([("not-tags", ("a", "b"))], {"none", "a", "A", "strange"}),
        ([("not-tags", ("a",))], {"none", "A", "strange"}),
        ([("not-tags-any", ("b", "A"))], {"none", "a", "strange"}),
        ([("tags", ("a",)), ("not-tags-any", ("b",))], {"a"}),
        ([("is_domain", (False,))], set(_TAGGED)),
        ([("is_domain", (True,))], set()),
    ],
)
async def test_tags(make_database: MakeDatabase, where: list[tuple[str, tuple[str, ...]]], found: set[str]) -> None:
    db = await make_database(META)

    async def seed(tx: Tx) -> None:
        for name, tags in _TAGGED.items():
            await PROJECTS.insert(tx, Project(id=name, name=name, domain_id="d", parent_id="d", tags=tags))

    await db.write(seed)
    ask = Ask(where=tuple(Where(name, values) for name, values in where))
    assert {one.id for one in await db.read(lambda tx: PROJECT_LIST.page(tx, ask))} == found


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("%b!_%", {"ab_c"}), ("ab%", {"ab_c", "abxc"}), ("%!%%", {"AB%C"}), ("%BXC", set())],
)
async def test_parts_of_names(make_database: MakeDatabase, pattern: str, found: set[str]) -> None:
    db = await make_database(META)

    async def seed(tx: Tx) -> None:
        for name in ("ab_c", "abxc", "AB%C"):
            await PROJECTS.insert(tx, Project(id=name, name=name, domain_id="d", parent_id="d"))

    await db.write(seed)

    async def names(op: str, pattern: str) -> set[str]:
        ask = Ask(where=(Where("name", (pattern,), op),))  # type: ignore[arg-type]
        return {one.name for one in await db.read(lambda tx: PROJECT_LIST.page(tx, ask))}

    assert await names("like", pattern) == found
    assert await names("ilike", "ab%") == {"ab_c", "abxc", "AB%C"}


async def _tree_of(make: MakeDatabase, world: RealWorld) -> tuple[Database, Projects]:
    db = await make(META)
    site = Site(db, world)
    await site.seed(site.service())
    return db, Projects(Ground(IdentityParts(db=db, world=world, vault=Vault(b"m" * 32))))


@pytest.mark.mariadb
@pytest.mark.parametrize("parent", ["project", "domain"])
async def test_a_parent_is_not_removed_under_a_new_child(
    make_mariadb: MakeDatabase, world: RealWorld, parent: str
) -> None:
    """Whoever saw the parent without children, before one came, does not get to remove it."""
    db, projects = await _tree_of(make_mariadb, world)
    ctx = internal("req-1")
    top = await projects.create(ctx, {"name": "top", **({"is_domain": True} if parent == "domain" else {})})
    child = {"name": "child", "domain_id": top.domain_id or top.id, "parent_id": top.id}
    async with by_hand(db) as other:
        assert await PROJECTS.count(other.tx, parent_id=top.id) == 0
        assert await find_project(other.tx, top.id) is not None
        await projects.create(ctx, child)
        with pytest.raises(OperationalError, match="1020"):
            await (DOMAINS if parent == "domain" else PROJECTS).delete(other.tx, id=top.id)


@pytest.mark.mariadb
async def test_a_parent_is_not_disabled_under_a_child_that_is_enabled(
    make_mariadb: MakeDatabase, world: RealWorld
) -> None:
    db, projects = await _tree_of(make_mariadb, world)
    ctx = internal("req-1")
    top = await projects.create(ctx, {"name": "top"})
    child = await projects.create(ctx, {"name": "child", "parent_id": top.id, "enabled": False})
    async with by_hand(db) as other:
        seen = await PROJECTS.get(other.tx, id=top.id)
        await projects.update(ctx, child.id, {"enabled": True})
        with pytest.raises(OperationalError, match="1020"):
            await PROJECTS.update(other.tx, msgspec.structs.replace(seen, enabled=False))
