"""`kilostack why SERVER`: the decisions and steps recorded for a server, as its owner may see them."""

from __future__ import annotations

import argparse
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kilostack.cli import client_files, state
from kilostack.cli.failure import Failure
from kilostack.cli.output import show
from kilostack.cli.owner import assume, who_typed
from kilostack.cli.program import Program
from kilostack.core.settings import Settings

#: Where the control plane answers, to those who may see the server: JSON with
#:   server: {id, name, status}
#:   decisions: [{at, outcome, host, record: {asked, hosts, rules: [{rule, left, removed: {host: why}}], weights}}]
#:   sagas: [{at, name, state, steps: [{at, step, state, detail}]}]
RECORD = "/kilostack/v1/servers/{server_id}/why"

TIMEOUT_S = 10.0
_NAMED_BY = 100


@dataclass(frozen=True, slots=True)
class Api:
    """The cloud's APIs as one user sees them."""

    base: str
    token: str

    def get(self, path: str, none: Sequence[int] = (404,)) -> Any:
        """The JSON at a path; None when the answer has one of the statuses `none`."""
        request = urllib.request.Request(self.base + path, headers={"X-Auth-Token": self.token})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code in none:
                return None
            raise Failure(f"{path}: {error.code} {error.reason}") from None
        except (urllib.error.URLError, ValueError) as error:
            raise Failure(f"the cloud does not answer: {error}", "See `kilostack status`.") from None


def run(args: argparse.Namespace, program: Program) -> int:
    """Print what is on record."""
    owner = who_typed(os.environ)
    assume(owner)
    entry = args.os_cloud or os.environ.get("OS_CLOUD")
    settings = None
    if entry and args.name is None and args.state_dir is None:
        # the entry that the client uses names the cloud, too
        named = argparse.Namespace(**{**vars(args), "name": entry.removesuffix("-admin")})
        settings = state.find(named, owner)
    settings = settings or state.find(args, owner)
    if settings is None:
        raise Failure("there is no such cloud", "Start one with `kilostack up`.")
    api = _log_in(settings, entry or settings.name)
    server_id = _find(api, args.server)
    record = api.get(RECORD.format(server_id=server_id))
    if record is None:
        raise Failure(f"nothing is on record of server {args.server}")
    if args.format == "json":
        print(json.dumps(record, indent=2))
    else:
        _tell(record)
    return 0


def _log_in(settings: Settings, entry: str) -> Api:
    """As the user of a clouds.yaml entry of this cloud: nobody sees more by asking here than by asking the APIs."""
    from kilostack.cli import clouds_yaml

    file = client_files.config_dir(who_typed(os.environ), os.environ) / "clouds.yaml"
    aside = client_files.aside_dir(settings) / "clouds.yaml"
    try:
        auth = clouds_yaml.entries((aside if aside.exists() else file).read_text())[entry]["auth"]
    except (OSError, KeyError, TypeError, clouds_yaml.Broken):
        raise Failure(f"no entry {entry} in {file}", "Name one: kilostack why --os-cloud ENTRY SERVER") from None
    user = {
        "name": auth.get("username"),
        "password": auth.get("password"),
        "domain": {"name": auth.get("user_domain_name", "Default")},
    }
    project = {"name": auth.get("project_name"), "domain": {"name": auth.get("project_domain_name", "Default")}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": project}}}
    request = urllib.request.Request(
        f"{settings.auth_url}/auth/tokens",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return Api(f"http://127.0.0.1:{settings.port}", answer.headers["X-Subject-Token"])
    except urllib.error.HTTPError as error:
        raise Failure(f"the cloud does not let {entry} in ({error.code})") from None
    except urllib.error.URLError as error:
        raise Failure(f"cloud {settings.name} does not answer: {error.reason}", "See `kilostack status`.") from None


def _find(api: Api, server: str) -> str:
    """The id of the one server that the person means."""
    found = api.get(f"/compute/v2.1/servers/{urllib.parse.quote(server, safe='')}")
    if found is not None:
        return str(found["server"]["id"])
    # those of other projects too, for whom they are there to be seen; only an administrator may ask
    matches = _named(api, server) or _named(api, server, all_tenants="1")
    if not matches:
        raise Failure(f"there is no server {server} that you may see")
    if len(matches) > 1:
        raise Failure(f"{len(matches)} servers are called {server}", "Name one by its id: see `openstack server list`.")
    return str(matches[0]["id"])


def _named(api: Api, server: str, **scope: str) -> list[dict[str, Any]]:
    # the filter is a regular expression, and takes no long ones
    query = urllib.parse.urlencode({"name": "^" + re.escape(server[:_NAMED_BY]), **scope})
    found = api.get("/compute/v2.1/servers?" + query, none=(403, 404)) or {"servers": []}
    return [one for one in found["servers"] if one["name"] == server]


def _tell(record: dict[str, Any]) -> None:
    server = record["server"]
    print(f"Server {server['name']} ({server['id']}) is {server['status']}.")
    for decision in record["decisions"]:
        _tell_decision(decision)
    for saga in record["sagas"]:
        print(f"\n{saga['at']}  {saga['name']}: {saga['state']}")
        show(saga["steps"], ("at", "step", "state", "detail"), "table")


def _tell_decision(decision: dict[str, Any]) -> None:
    found = decision["record"]
    print(f"\n{decision['at']}  {decision['outcome']}")
    if found.get("asked"):
        print("asked for: " + ", ".join(f"{what} {value}" for what, value in found["asked"].items()))
    rules = [{**rule, "removed": len(rule["removed"]) + rule.get("more", 0)} for rule in found.get("rules", ())]
    if rules:
        print(f"of {found['hosts']} hosts, rule by rule:")
        show(rules, ("rule", "left", "removed"), "table")
    for rule in found.get("rules", ()):
        for host, reason in rule["removed"].items():
            print(f"  {host}: {reason}")
    if found.get("weights"):
        show(found["weights"], ("host", "score"), "table")
