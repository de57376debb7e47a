"""Trusts: chains that end, and uses that are counted however many come at once."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.core.errors import Unauthenticated
from kilostack.core.vault import Vault
from kilostack.identity.app.ground import Ground, IdentityParts
from kilostack.identity.app.proof import Proof, Scope
from kilostack.identity.app.signing import Signing
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.model.trusts import MOST_REDELEGATIONS, Trust, chain_refusal, refusal
from kilostack.identity.store.projects import named_project
from kilostack.identity.store.roles import ROLES
from kilostack.identity.store.tables import META
from kilostack.identity.store.trusts import TRUSTS, pedigree, remove, use
from kilostack.identity.store.users import named_user
from kilostack.store.database import Database, Tx
from tests.conftest import MakeDatabase
from tests.identity.conftest import Site

_ROLES = ("a", "b", "c")


def _trust(trust_id: str, **fields: object) -> Trust:
    plain = Trust(id=trust_id, trustor_user_id="giver", trustee_user_id="taker", impersonation=True, project_id="p")
    return msgspec.structs.replace(plain, **fields)


_trusts = st.builds(
    Trust,
    id=st.just("t"),
    trustor_user_id=st.just("giver"),
    trustee_user_id=st.just("taker"),
    impersonation=st.booleans(),
    project_id=st.sampled_from(("p", "q")),
    role_ids=st.lists(st.sampled_from(_ROLES), unique=True).map(tuple),
    expires_at=st.none() | st.integers(0, 5),
    remaining_uses=st.none() | st.integers(1, 2),
    redelegation_count=st.integers(-1, MOST_REDELEGATIONS + 1),
)


@given(_trusts, _trusts)
def test_what_is_handed_on_is_never_more(parent: Trust, child: Trust) -> None:
    if refusal(parent, child) is not None:
        return
    assert set(child.role_ids) <= set(parent.role_ids)
    assert parent.impersonation or not child.impersonation
    assert child.project_id == parent.project_id
    assert parent.expires_at is None or (child.expires_at is not None and child.expires_at <= parent.expires_at)
    assert 0 < parent.redelegation_count <= MOST_REDELEGATIONS


_PARENT = _trust("parent", role_ids=("a", "b"), expires_at=5, redelegation_count=2)
_CHILD = _trust("child", role_ids=("a",), expires_at=4, redelegation_count=1)


@pytest.mark.parametrize(
    ("parent", "child", "why"),
    [
        ({}, {}, None),
        ({"redelegation_count": 0}, {}, "depth"),
        ({"redelegation_count": MOST_REDELEGATIONS + 1}, {}, "depth"),
        ({}, {"remaining_uses": 1}, "remaining_uses"),
        ({}, {"expires_at": 6}, "expiration"),
        ({}, {"expires_at": None}, "expiration"),
        ({"expires_at": None}, {}, None),
        ({}, {"role_ids": ("a", "c")}, "roles"),
        ({}, {"project_id": "q"}, "project"),
        ({"impersonation": False}, {}, "Impersonation"),
        ({"impersonation": False}, {"impersonation": False}, None),
        ({}, {"impersonation": False}, None),
    ],
)
def test_why_a_trust_may_not_be_handed_on(parent: dict[str, object], child: dict[str, object], why: str | None) -> None:
    pair = msgspec.structs.replace(_PARENT, **parent), msgspec.structs.replace(_CHILD, **child)
    found = refusal(*pair)
    assert (found is None) if why is None else (found is not None and why in found)
    assert chain_refusal(pair[::-1]) == found


@given(st.lists(_trusts, max_size=6))
def test_a_chain_that_holds_gives_what_its_first_gives(chain: list[Trust]) -> None:
    """Whatever the order in which trusts were made: nothing grows on the way."""
    if chain and chain_refusal(chain) is None:
        first, last = chain[-1], chain[0]
        assert set(last.role_ids) <= set(first.role_ids)
        assert first.impersonation or not last.impersonation
    assert chain_refusal(chain[:1]) is None


@given(_trusts, st.integers(-1, 7))
def test_usable(trust: Trust, now: int) -> None:
    assert trust.is_usable(now) is (trust.expires_at is None or now <= trust.expires_at)
    assert not msgspec.structs.replace(trust, remaining_uses=0).is_usable(now)


@pytest.fixture
async def db(make_database: MakeDatabase) -> Database:
    return await make_database(META)


async def _insert(db: Database, *trusts: Trust) -> None:
    async def unit(tx: Tx) -> None:
        for trust in trusts:
            await TRUSTS.insert(tx, trust)

    await db.write(unit)


@pytest.mark.parametrize(("uses", "logins"), [(1, 20), (7, 20), (20, 20)])
async def test_uses_at_once(db: Database, uses: int, logins: int) -> None:
    await _insert(db, _trust("counted", remaining_uses=uses), _trust("other", remaining_uses=5))

    async def log_in() -> bool:
        return await db.write(lambda tx: use(tx, "counted"))

    granted = await asyncio.gather(*(log_in() for _ in range(logins)))
    assert sum(granted) == min(uses, logins)
    left = await db.read(lambda tx: TRUSTS.get(tx, id="counted"))
    assert left.remaining_uses == max(uses - logins, 0)
    assert (await db.read(lambda tx: TRUSTS.get(tx, id="other"))).remaining_uses == 5


@pytest.fixture
async def issuing(site: Site) -> Tokens:
    await site.seed(site.service())
    ground = Ground(IdentityParts(db=site.db, world=site.world, vault=Vault(b"m" * 32)))
    signing = Signing(ground)
    await signing.prepare()
    return Tokens(ground, signing)


async def test_logins_at_once(site: Site, issuing: Tokens) -> None:
    """Each of them has seen that there are uses left; only so many get a token."""

    async def facts(tx: Tx) -> tuple[str, str, str, str]:
        giver, taker = await named_user(tx, "demo", "default"), await named_user(tx, "admin", "default")
        project, (role,) = await named_project(tx, "demo", "default"), await ROLES.where(tx, name="member")
        assert giver is not None and taker is not None and project is not None
        return giver.id, taker.id, project.id, role.id

    giver, taker, project, role = await site.db.read(facts)
    trust = _trust("t", remaining_uses=3, trustor_user_id=giver, trustee_user_id=taker, project_id=project)
    await _insert(site.db, msgspec.structs.replace(trust, role_ids=(role,)))
    proof = Proof(methods=("password",), user_id=taker)

    async def log_in() -> bool:
        try:
            issued = await issuing.issue(proof, Scope(trust_id="t"))
        except Unauthenticated:
            return False
        assert issued.claims.user_id == giver
        return True

    assert sum(await asyncio.gather(*(log_in() for _ in range(12)))) == 3
    assert (await site.db.read(lambda tx: TRUSTS.get(tx, id="t"))).remaining_uses == 0


async def test_what_is_not_counted_is_not_used_up(db: Database) -> None:
    await _insert(db, _trust("t"))
    assert not await db.write(lambda tx: use(tx, "t"))
    assert not await db.write(lambda tx: use(tx, "nothing"))
    assert (await db.read(lambda tx: TRUSTS.get(tx, id="t"))).remaining_uses is None


async def test_a_chain_and_its_removal(db: Database) -> None:
    tree = [("root", None), ("left", "root"), ("right", "root"), ("leaf", "left"), ("alone", None), ("orphan", "gone")]
    await _insert(db, *(_trust(name, redelegated_trust_id=parent) for name, parent in tree))

    async def chain_of(trust_id: str) -> list[str] | None:
        found = await db.read(lambda tx: _pedigree(tx, trust_id))
        return None if found is None else [trust.id for trust in found]

    async def _pedigree(tx: Tx, trust_id: str) -> list[Trust] | None:
        return await pedigree(tx, await TRUSTS.get(tx, id=trust_id))

    assert await chain_of("leaf") == ["leaf", "left", "root"]
    assert await chain_of("orphan") is None

    async def removing(tx: Tx) -> list[str]:
        return await remove(tx, [await TRUSTS.get(tx, id="root")])

    assert set(await db.write(removing)) == {"root", "left", "right", "leaf"}
    assert {trust.id for trust in await db.read(lambda tx: TRUSTS.where(tx))} == {"alone", "orphan"}


async def test_removal_ends_even_where_trusts_go_in_a_circle(db: Database) -> None:
    """Nothing makes one; a damaged database may hold one."""
    await _insert(db, _trust("a", redelegated_trust_id="b"), _trust("b", redelegated_trust_id="a"))

    async def removing(tx: Tx) -> list[str]:
        return await remove(tx, [await TRUSTS.get(tx, id="a")])

    assert set(await db.write(removing)) == {"a", "b"}
