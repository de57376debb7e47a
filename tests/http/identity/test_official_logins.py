"""Ways in that the official libraries know, used as programs use them: password, token, credential, trust, OAuth."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from keystoneauth1 import exceptions, session
from keystoneauth1.extras.oauth1 import v3 as oauth1
from keystoneauth1.identity import v3
from keystoneclient.v3 import client as keystone

from tests.http.identity.conftest import ADMIN, DEMO, IdentityCloud, somebody
from tests.http.serving import served


class Place(msgspec.Struct, frozen=True):
    """Where identity answers."""

    url: str
    #: of user taker, who has no role on project admin
    taker_id: str

    def password(self, name: str, password: str, **scope: Any) -> v3.Password:
        return v3.Password(self.url, username=name, password=password, user_domain_id="default", **scope)

    def client(self, plugin: Any) -> Any:
        """The library of identity's own operations."""
        return keystone.Client(session=_session(plugin), endpoint_override=self.url)

    def admin(self) -> Any:
        plugin = self.password("admin", ADMIN, project_name="admin", project_domain_id="default")
        return self.client(plugin)


def _session(plugin: Any) -> Any:
    return session.Session(auth=plugin, timeout=30)


@pytest.fixture
async def place(cloud: IdentityCloud) -> AsyncIterator[Place]:
    taker = await somebody(cloud, "taker")
    async with served(cloud.client.app) as (host, port):
        yield Place(f"http://{host}:{port}/identity/v3", taker)


@pytest.fixture
def apart(cloud: IdentityCloud) -> Callable[..., Any]:
    """Runs what blocks: the server needs the loop meanwhile."""
    return cloud.world.in_thread


async def test_passwords_and_tokens(place: Place, apart: Callable[..., Any]) -> None:
    def log_in() -> None:
        first = _session(place.password("demo", DEMO))
        assert not first.auth.get_access(first).scoped
        scopes: list[tuple[dict[str, Any], str]] = [
            ({"project_name": "demo", "project_domain_name": "Default"}, "project_scoped"),
            ({"unscoped": True}, "user_id"),
        ]
        for scope, holds in scopes:
            access = v3.Token(place.url, first.get_token(), **scope).get_access(first)
            assert getattr(access, holds)
            assert access.audit_chain_id == first.auth.get_access(first).audit_id
        admin = _session(place.password("admin", ADMIN, system_scope="all"))
        assert admin.auth.get_access(admin).system == {"all": True}
        with pytest.raises(exceptions.Unauthorized):
            place.password("demo", "wrong").get_access(first)
        with pytest.raises(exceptions.NotFound):
            v3.Token(place.url, "nothing").get_access(first)
        # what it has ended is fetched anew
        demo = _session(place.password("demo", DEMO, project_name="demo", project_domain_id="default"))
        demo.delete(f"{place.url}/auth/tokens", headers={"X-Subject-Token": demo.get_token()})
        assert demo.get(f"{place.url}/auth/projects").json()["projects"][0]["name"] == "demo"

    await apart(log_in)


async def test_application_credentials(place: Place, apart: Callable[..., Any]) -> None:
    def log_in() -> None:
        demo = place.client(place.password("demo", DEMO, project_name="demo", project_domain_id="default"))
        made = demo.application_credentials.create("robot", roles=[{"name": "reader"}])
        by_id = v3.ApplicationCredential(
            place.url, application_credential_id=made.id, application_credential_secret=made.secret
        )
        by_name = v3.ApplicationCredential(
            place.url,
            application_credential_name="robot",
            application_credential_secret=made.secret,
            username="demo",
            user_domain_name="Default",
        )
        for plugin in (by_id, by_name):
            access = plugin.get_access(_session(plugin))
            assert (access.role_names, access.project_name) == (["reader"], "demo")
        bearer = v3.OAuth2ClientCredential(
            place.url,
            oauth2_endpoint=f"{place.url}/OS-OAUTH2/token",
            oauth2_client_id=made.id,
            oauth2_client_secret=made.secret,
        )
        assert _session(bearer).get_auth_headers()["Authorization"].startswith("Bearer ")

    await apart(log_in)


async def test_trusts(place: Place, apart: Callable[..., Any]) -> None:
    def log_in() -> None:
        admin = place.admin()
        access = admin.session.auth.get_access(admin.session)
        trust = admin.trusts.create(
            place.taker_id, access.user_id, role_names=["member"], project=access.project_id, impersonation=True
        )
        assert [found.id for found in admin.trusts.list(trustor_user=access.user_id)] == [trust.id]
        taken = place.password("taker", "pw", trust_id=trust.id)
        inside = taken.get_access(_session(taken))
        assert (inside.trust_id, inside.trust_scoped) == (trust.id, True)
        assert (inside.trustor_user_id, inside.trustee_user_id) == (access.user_id, place.taker_id)
        assert (inside.username, set(inside.role_names)) == ("admin", {"member", "reader"})
        by_token = v3.Token(place.url, _session(place.password("taker", "pw")).get_token(), trust_id=trust.id)
        assert by_token.get_access(_session(by_token)).trust_id == trust.id
        with pytest.raises(exceptions.Forbidden):
            place.client(taken).users.create("nobody")
        admin.trusts.delete(trust)
        with pytest.raises(exceptions.NotFound):
            admin.trusts.get(trust.id)
        taken.invalidate()
        with pytest.raises(exceptions.Unauthorized):
            taken.get_access(_session(taken))

    await apart(log_in)


async def test_oauth1(place: Place, apart: Callable[..., Any]) -> None:
    def log_in() -> None:
        admin = place.admin()
        project = admin.session.get_project_id()
        consumer = admin.oauth1.consumers.create(description="program")
        wish = admin.oauth1.request_tokens.create(consumer.id, consumer.secret, project)
        role = next(role.id for role in admin.roles.list() if role.name == "member")
        told = admin.oauth1.request_tokens.authorize(wish.key, [role])
        grant = admin.oauth1.access_tokens.create(
            consumer.id, consumer.secret, wish.key, wish.secret, told.oauth_verifier
        )
        plugin = oauth1.OAuth1(
            place.url,
            consumer_key=consumer.id,
            consumer_secret=consumer.secret,
            access_key=grant.key,
            access_secret=grant.secret,
        )
        access = plugin.get_access(_session(plugin))
        assert (access.oauth_consumer_id, access.oauth_access_token_id) == (consumer.id, grant.key)
        assert (access.username, set(access.role_names)) == ("admin", {"member", "reader"})
        admin.oauth1.consumers.delete(consumer)
        plugin.invalidate()
        with pytest.raises(exceptions.NotFound):
            plugin.get_access(_session(plugin))

    await apart(log_in)
