"""Clients reach the cloud through a real HAProxy that ends TLS under another host name, and below a path prefix."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clouds import UserCloud, free_port, user_cloud

_NAME = "localhost"
_CONFIG = """
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend whole
    bind 127.0.0.1:{port} ssl crt {pem}
    http-request set-header X-Forwarded-Proto https
    default_backend cloud
frontend below
    bind 127.0.0.1:{below} ssl crt {pem}
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Prefix /stack
    http-request replace-path /stack(/.*) \\1
    default_backend cloud
backend cloud
    server one 127.0.0.1:{cloud}
"""


class Front:
    """A proxy in front of a cloud, and what a client sees of the cloud through it."""

    def __init__(self, cloud: UserCloud, folder: Path) -> None:
        self.cloud, self._folder = cloud, folder
        self.port, self.below = free_port(), free_port()
        self.certificate = folder / "cert.pem"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        key, both = self._folder / "key.pem", self._folder / "both.pem"
        subject = ("-subj", f"/CN={_NAME}", "-addext", f"subjectAltName=DNS:{_NAME}")
        kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        made = ("req", "-x509", *kind, "-days", "2", *subject)
        command = ["openssl", *made, "-keyout", key, "-out", self.certificate]
        subprocess.run(command, check=True, capture_output=True)
        both.write_text(self.certificate.read_text() + key.read_text())
        config = self._folder / "haproxy.cfg"
        config.write_text(_CONFIG.format(port=self.port, below=self.below, cloud=self.cloud.port, pem=both))
        self.process = subprocess.Popen(["haproxy", "-db", "-f", config])
        end = time.monotonic() + 30
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < end, "the proxy does not answer"

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)

    def _answers(self) -> bool:
        try:
            return bool(self.get("/identity/v3"))
        except OSError:
            return False

    def get(self, path: str, token: str = "", *, port: int = 0) -> Any:
        """The JSON at a path; a document with choices (300) is one, too."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        url = path if path.startswith("https:") else f"https://{_NAME}:{port or self.port}{path}"
        request = urllib.request.Request(url, headers={"X-Auth-Token": token} if token else {})
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Choices())
        with opener.open(request, timeout=10) as answer:
            return json.loads(answer.read())

    def openstack(self, *arguments: str, root: str) -> Any:
        """The official client's output, for a cloud whose identity is below `root`."""
        clouds = yaml.safe_load((self.cloud.home / ".config/openstack/clouds.yaml").read_text())["clouds"]
        auth = clouds[f"{self.cloud.name}-admin"]["auth"]
        options = {**auth, "auth_url": f"{root}/identity/v3"}
        words = [word for name, value in options.items() for word in (f"--os-{name.replace('_', '-')}", str(value))]
        verify = ("--os-cacert", str(self.certificate))
        done = self.cloud.run(*self.cloud.client, *verify, *words, *arguments, "-f", "json")
        return json.loads(done.stdout)


class _Choices(urllib.request.HTTPErrorProcessor):
    """300 is an answer, not a redirect."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response if response.status == 300 else super().http_response(request, response)

    https_response = http_response


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with user_cloud(tmp_path_factory.mktemp("home"), "behind", "--simulate") as cloud:
        made = Front(cloud, tmp_path_factory.mktemp("proxy"))
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.mark.parametrize("prefix", ["", "/stack"])
def test_the_catalog_and_every_document_name_the_proxy(front: Front, prefix: str) -> None:
    port = front.below if prefix else front.port
    root = f"https://{_NAME}:{port}{prefix}"
    catalog = front.openstack("catalog", "list", root=root)
    urls = {url["url"] for service in catalog for url in service["Endpoints"]}
    assert urls and all(url.startswith(root + "/") for url in urls), urls
    for url in urls:
        # without a token, at the endpoint and at what it links to
        for link in _links(front.get(url)):
            assert link.startswith((root + "/", "http://docs.openstack.org/")), (url, link)
    servers = front.openstack("server", "list", root=root)
    assert servers == []
    assert {image["Name"] for image in front.openstack("image", "list", root=root)} == {"tiny"}


def _links(document: Any) -> list[str]:
    if isinstance(document, dict):
        own = [document["href"]] if document.get("href") else []
        return own + [link for value in document.values() for link in _links(value)]
    return [link for value in document for link in _links(value)] if isinstance(document, list) else []


def test_pages_of_a_list_lead_on_through_the_proxy(front: Front) -> None:
    root = f"https://{_NAME}:{front.below}/stack"
    token = front.openstack("token", "issue", root=root)["id"]
    page = front.get("/stack/identity/v3/roles?limit=2", token, port=front.below)
    seen = [role["name"] for role in page["roles"]]
    while (following := page["links"]["next"]) is not None:
        assert following.startswith(root + "/identity/v3/roles?")
        page = front.get(following, token)
        seen += [role["name"] for role in page["roles"]]
    assert {"admin", "member", "reader"} <= set(seen) and len(seen) == len(set(seen))
