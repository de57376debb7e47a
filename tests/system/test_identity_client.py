"""Every identity command of the official client, used as an administrator and as a user would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

from tests.clouds import UserCloud, user_cloud


class Client:
    """The client, and which of its commands were used. Each test has things of its own."""

    def __init__(self, cloud: UserCloud) -> None:
        self.cloud = cloud
        commands = entry_points(group="openstack.identity.v3")
        self.known = {entry.name.replace("_", " ") for entry in commands}
        self.used: set[str] = set()

    def __call__(self, line: str, *more: str, user: bool = False, check: bool = True) -> str:
        """Run one command line; what it printed."""
        words = [*line.split(), *more]
        self.used |= {name for name in self.known if words[: len(name.split())] == name.split()}
        return self.cloud.openstack(*words, admin=not user, check=check)

    def id(self, line: str, *more: str, user: bool = False) -> str:
        """Run a command that makes something; its id."""
        return str(json.loads(self(line, *more, "-f", "json", user=user))["id"])

    def column(self, line: str, name: str, *more: str, user: bool = False) -> list[str]:
        """One column of a list."""
        return self(line, *more, "-f", "value", "-c", name, user=user).splitlines()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with user_cloud(tmp_path_factory.mktemp("home"), "words", "--simulate") as cloud:
        yield Client(cloud)


def test_domains_projects_and_tags(run: Client) -> None:
    run("domain create --description one --enable firm")
    run("domain set --description two firm")
    assert "two" in run("domain show firm")
    assert "firm" in run.column("domain list", "Name")
    run("project create --domain firm --tag red --property cost=17 rocket")
    run("project create --domain firm --parent rocket stage")
    run("project set --domain firm --tag blue --name rocket2 rocket")
    assert "blue" in run("project show --domain firm rocket2 --children --parents")
    assert run.column("project list --domain firm --tags blue", "Name") == ["rocket2"]
    run("project delete --domain firm stage")
    run("project delete --domain firm rocket2")
    run("domain set --disable firm")
    run("domain delete firm")


def test_users_and_groups(run: Client) -> None:
    run("user create --domain default --password Secret1 --email a@example.com --ignore-lockout-failure-attempts anna")
    run("user set --description tester --no-ignore-lockout-failure-attempts anna")
    assert "tester" in run("user show anna")
    assert "anna" in run.column("user list", "Name")
    run("group create --description people crew")
    run("group set --description more crew")
    assert "more" in run("group show crew")
    run("group add user crew anna")
    assert run.column("user list --group crew", "Name") == ["anna"]
    assert "anna in group crew" in run("group contains user crew anna")
    assert run.column("group list --user anna", "Name") == ["crew"]
    run("group remove user crew anna")
    run("group delete crew")
    run("user delete anna")


def test_a_user_changes_their_password(run: Client) -> None:
    file = run.cloud.home / ".config/openstack/clouds.yaml"
    before = file.read_text()
    old = yaml.safe_load(before)["clouds"][run.cloud.name]["auth"]["password"]
    run(f"user password set --original-password {old} --password An0ther-one", user=True)
    file.write_text(before.replace(old, "An0ther-one"))
    assert run("token issue", user=True)


def test_roles(run: Client) -> None:
    run("role create --description d auditor")
    run("role create --immutable keeper")
    run("role set --name auditor2 auditor")
    assert "auditor2" in run("role show auditor2")
    assert {"auditor2", "keeper"} <= set(run.column("role list", "Name"))
    run("implied role create auditor2 --implied-role reader")
    assert "reader" in run("implied role list")
    run("implied role delete auditor2 --implied-role reader")
    run("role add --user demo --project admin auditor2")
    run("role add --user demo --domain default --inherited auditor2")
    run("role add --user demo --system all auditor2")
    found = run.column("role assignment list --user demo --role auditor2 --names", "Role")
    assert found == ["auditor2"] * 3
    assert len(run.column("role assignment list --effective --user demo --project demo --names", "Role")) >= 2
    run("role remove --user demo --project admin auditor2")
    run("role remove --user demo --domain default --inherited auditor2")
    run("role remove --user demo --system all auditor2")
    run("role delete auditor2")
    run("role set --no-immutable keeper")
    run("role delete keeper")


def test_the_catalog(run: Client) -> None:
    run("region create --description r west")
    run("region set --description s west")
    assert "s" in run("region show west")
    assert "west" in run.column("region list", "Region")
    service = run.id("service create --name herder --description d pets")
    run("service set --description e herder")
    assert "pets" in run("service show herder")
    assert "pets" in run.column("service list", "Type")
    endpoint = run.id("endpoint create --region west pets public http://pets.example/v1")
    run(f"endpoint set --url http://pets.example/v2 {endpoint}")
    assert "v2" in run(f"endpoint show {endpoint}")
    assert endpoint in run.column("endpoint list --service pets", "ID")
    assert "pets" in run.column("catalog list", "Type")
    assert "herder" in run("catalog show pets")
    run(f"endpoint add project {endpoint} demo")
    assert endpoint in run.column("endpoint list --project demo", "ID")
    run(f"endpoint remove project {endpoint} demo")
    filters = run.cloud.home / "filters.json"
    filters.write_text(json.dumps({"interface": "public", "service_id": service}))
    group = run.id(f"endpoint group create zoo {filters}")
    run(f"endpoint group set --name zoo2 {group}")
    assert "zoo2" in run(f"endpoint group show {group}")
    run(f"endpoint group add project {group} demo")
    assert group in run.column("endpoint group list --project demo", "ID")
    run(f"endpoint group remove project {group} demo")
    run(f"endpoint group delete {group}")
    run(f"endpoint delete {endpoint}")
    run("service delete herder")
    run("region delete west")


def test_policies_and_limits(run: Client) -> None:
    rules = run.cloud.home / "rules.json"
    rules.write_text("{}")
    policy = run.id(f"policy create --type application/json {rules}")
    run(f"policy set --type text/plain {policy}")
    assert "text/plain" in run(f"policy show {policy}")
    assert policy in run.column("policy list", "ID")
    run(f"policy delete {policy}")
    registered = run.id("registered limit create --service compute --region RegionOne --default-limit 10 pets")
    run(f"registered limit set --default-limit 12 {registered}")
    assert "12" in run(f"registered limit show {registered}")
    assert registered in run.column("registered limit list", "ID")
    limit = run.id("limit create --project demo --service compute --region RegionOne --resource-limit 5 pets")
    run(f"limit set --resource-limit 6 {limit}")
    assert "6" in run(f"limit show {limit}")
    assert limit in run.column("limit list", "ID")
    run(f"limit delete {limit}")
    run(f"registered limit delete {registered}")


def test_credentials(run: Client) -> None:
    credential = run.id("credential create --type cert demo blob")
    run(f"credential set --user demo --type cert --data other {credential}")
    assert "other" in run(f"credential show {credential}")
    assert credential in run.column("credential list", "ID")
    run(f"credential delete {credential}")
    access = run("ec2 credentials create -f value -c access", user=True).strip()
    assert access in run("ec2 credentials show", access, user=True)
    assert access in run.column("ec2 credentials list", "Access", user=True)
    run(f"ec2 credentials delete {access}", user=True)


def test_application_credentials(run: Client) -> None:
    rules = json.dumps([{"service": "compute", "method": "GET", "path": "/v2.1/servers"}])
    run("application credential create --role reader --access-rules", rules, "robot", user=True)
    assert "robot" in run("application credential show robot", user=True)
    assert run.column("application credential list", "Name", user=True) == ["robot"]
    (rule,) = run.column("access rule list", "ID", user=True)
    assert "/v2.1/servers" in run(f"access rule show {rule}", user=True)
    run("application credential delete robot", user=True)
    run(f"access rule delete {rule}", user=True)


def test_trusts(run: Client) -> None:
    # a user may not look others up by their names
    users, projects = json.loads(run("user list -f json")), json.loads(run("project list -f json"))
    ids = {item["Name"]: item["ID"] for item in users}
    project = next(item["ID"] for item in projects if item["Name"] == "demo")
    role = json.loads(run("role show member -f json"))["id"]
    words = f"--project {project} --role {role} --impersonate {ids['demo']} {ids['admin']}"
    trust = run.id(f"trust create {words}", user=True)
    assert "True" in run(f"trust show {trust}", user=True)
    assert trust in run.column("trust list", "ID")
    run(f"trust delete {trust}", user=True)


def test_oauth(run: Client) -> None:
    consumer = run.id("consumer create --description c")
    run(f"consumer set --description d {consumer}")
    assert consumer in run.column("consumer list", "ID")
    assert "d" in run(f"consumer show {consumer}")
    made = json.loads(run("consumer create --description e -f json"))
    consumer2, secret = made["id"], made["secret"]
    keys = f"--consumer-key {consumer2} --consumer-secret {secret}"
    asked = json.loads(run(f"request token create {keys} --project admin -f json"))
    authorized = json.loads(run(f"request token authorize --request-key {asked['id']} --role member -f json"))
    access = f"--request-key {asked['id']} --request-secret {asked['secret']}"
    token = run(f"access token create {keys} {access} --verifier {authorized['oauth_verifier']} -f json")
    assert json.loads(token)["id"]
    run(f"consumer delete {consumer}")
    run(f"consumer delete {consumer2}")


def test_federation(run: Client) -> None:
    home: Path = run.cloud.home
    rules = home / "mapping.json"
    rules.write_text(json.dumps([{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "email"}]}]))
    run("identity provider create --remote-id https://login.example --description p corp")
    run("identity provider set --description q corp")
    assert "q" in run("identity provider show corp")
    assert "corp" in run.column("identity provider list", "ID")
    run(f"mapping create --rules {rules} plain")
    run(f"mapping set --rules {rules} plain")
    assert "email" in run("mapping show plain")
    assert "plain" in run.column("mapping list", "ID")
    run("federation protocol create --identity-provider corp --mapping plain openid")
    # this command of the client always fails at its end, when it has changed the protocol
    run("federation protocol set --identity-provider corp --mapping plain openid", check=False)
    assert "plain" in run("federation protocol show --identity-provider corp openid")
    assert run.column("federation protocol list --identity-provider corp", "id") == ["openid"]
    urls = "--auth-url https://sp.example/auth --service-provider-url https://sp.example/sp"
    run(f"service provider create {urls} partner")
    run("service provider set --description r partner")
    assert "r" in run("service provider show partner")
    assert "partner" in run.column("service provider list", "ID")
    assert "admin" in run("federation project list")
    run("federation domain list")
    run("service provider delete partner")
    run("federation protocol delete --identity-provider corp openid")
    run("mapping delete plain")
    run("identity provider delete corp")


def test_a_token_comes_and_goes(run: Client) -> None:
    token = run("token issue -f value -c id", user=True).strip()
    run(f"token revoke {token}", user=True)


def test_no_command_was_left_out(run: Client) -> None:
    assert run.known - run.used == set()
