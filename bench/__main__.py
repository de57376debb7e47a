"""Measure the promises of SPEC.md: `python -m bench [--runs N] [--real] [--out FILE]`.

CPU per request is that of all our processes over many requests, less what they use idle. Times are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import identity
from bench.cloud import KILOSTACK, Cloud

_SERVERS = 100


def median(runs: int, measure: Callable[[], float]) -> dict[str, Any]:
    """The median of `runs` measurements, and all of them."""
    values = [measure() for _ in range(runs)]
    return {"median": round(statistics.median(values), 4), "runs": [round(value, 4) for value in values]}


def help_s() -> float:
    started = time.monotonic()
    subprocess.run([KILOSTACK, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def first_answer_s(cloud: Cloud) -> float:
    """From the command to the first answer; the cloud is down before and after."""
    started = time.monotonic()
    command = cloud.start()
    answered = cloud.wait("first answer", cloud.answers)
    command.wait(60)
    cloud.down()
    return answered - started


def active_after_command_s(cloud: Cloud) -> float:
    """From `up` to a server ACTIVE, made as soon as the cloud answers."""
    started = time.monotonic()
    command = cloud.start()
    cloud.wait("first answer", cloud.answers)
    cloud.login()
    server_id = _create(cloud, "early")
    ended = cloud.wait("ACTIVE", lambda: cloud.is_active(server_id))
    command.wait(60)
    _delete(cloud, server_id)
    cloud.down()
    return ended - started


def active_after_post_s(cloud: Cloud) -> float:
    body = cloud.create_body("timed")
    started = time.monotonic()
    server_id = cloud.call("POST", "/compute/v2.1/servers", body)[1]["server"]["id"]
    ended = cloud.wait("ACTIVE", lambda: cloud.is_active(server_id))
    _delete(cloud, server_id)
    return ended - started


def ssh_after_post_s(cloud: Cloud) -> float:
    """From the POST of a server to the greeting of its SSH server through a floating IP."""
    network = cloud.first("/network/v2.0/networks", "networks", "public")
    group = cloud.first("/network/v2.0/security-groups", "security_groups", "default")
    rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 22}
    cloud.call("POST", "/network/v2.0/security-group-rules", {"security_group_rule": rule | {"port_range_max": 22}})
    floating = cloud.call("POST", "/network/v2.0/floatingips", {"floatingip": {"floating_network_id": network}})[1]
    floating_id, address = floating["floatingip"]["id"], floating["floatingip"]["floating_ip_address"]
    body = cloud.create_body("ssh")
    started = time.monotonic()
    server_id = cloud.call("POST", "/compute/v2.1/servers", body)[1]["server"]["id"]
    cloud.wait("ACTIVE", lambda: cloud.is_active(server_id))
    port = cloud.call("GET", f"/network/v2.0/ports?device_id={server_id}")[1]["ports"][0]["id"]
    cloud.call("PUT", f"/network/v2.0/floatingips/{floating_id}", {"floatingip": {"port_id": port}})
    ended = cloud.wait("SSH", lambda: _greets(address))
    _delete(cloud, server_id)
    cloud.call("DELETE", f"/network/v2.0/floatingips/{floating_id}")
    return ended - started


def _greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=0.5) as connection:
            connection.settimeout(2.0)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _create(cloud: Cloud, name: str) -> str:
    # the image's content follows the first answer by a moment
    cloud.wait("image", lambda: _active_image(cloud))
    return str(cloud.call("POST", "/compute/v2.1/servers", cloud.create_body(name))[1]["server"]["id"])


def _active_image(cloud: Cloud) -> bool:
    images = cloud.call("GET", "/image/v2/images?name=tiny")[1]["images"]
    return bool(images) and images[0]["status"] == "active"


def _delete(cloud: Cloud, server_id: str) -> None:
    path = f"/compute/v2.1/servers/{server_id}"
    cloud.call("DELETE", path)
    cloud.wait("deleted", lambda: cloud.call("GET", path)[0] == 404)


def idle_cpu(cloud: Cloud, seconds: float = 20.0) -> float:
    """CPU seconds per second while nobody asks for anything."""
    before = cloud.cpu_seconds()
    time.sleep(seconds)
    return (cloud.cpu_seconds() - before) / seconds


def cpu_ms(cloud: Cloud, idle: float, count: int, ask: Callable[[int], object]) -> float:
    """CPU of all our processes per request, in ms."""
    before, started = cloud.cpu_seconds(), time.monotonic()
    for number in range(count):
        ask(number)
    spent = cloud.cpu_seconds() - before - idle * (time.monotonic() - started)
    return spent / count * 1000


def measure_requests(cloud: Cloud, runs: int) -> dict[str, Any]:
    """GET, list and create on a simulated cloud with 100 servers."""
    _, quota = cloud.call("GET", "/identity/v3/auth/projects")
    project = next(item["id"] for item in quota["projects"] if item["name"] == "demo")
    cloud.login("-admin")
    limits = {"instances": 1000, "cores": 1000, "ram": 1_000_000}
    cloud.call("PUT", f"/compute/v2.1/os-quota-sets/{project}", {"quota_set": limits})
    cloud.call("PUT", f"/network/v2.0/quotas/{project}", {"quota": {"port": 1000}})
    cloud.login()
    idle = idle_cpu(cloud, 10.0)
    made: list[str] = []
    network = cloud.call("POST", "/network/v2.0/networks", {"network": {"name": "wide"}})[1]["network"]["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "10.20.0.0/22"}
    cloud.call("POST", "/network/v2.0/subnets", {"subnet": subnet})
    body = cloud.create_body("many")
    body["server"]["networks"] = [{"uuid": network}]
    building = "/compute/v2.1/servers?status=BUILD&limit=1"

    def create(number: int) -> None:
        made.append(cloud.call("POST", "/compute/v2.1/servers", body)[1]["server"]["id"])

    def create_all(number: int) -> None:
        for at in range(_SERVERS // runs):
            create(at)
        while cloud.call("GET", building)[1]["servers"]:
            time.sleep(0.1)

    creates = [cpu_ms(cloud, idle, 1, create_all) / (_SERVERS // runs) for _ in range(runs)]
    path = f"/compute/v2.1/servers/{made[0]}"
    get = median(runs, lambda: cpu_ms(cloud, idle, 1000, lambda _: cloud.call("GET", path)))
    listed = "/compute/v2.1/servers/detail?limit=100"
    lists = median(runs, lambda: cpu_ms(cloud, idle, 300, lambda _: cloud.call("GET", listed)))
    for server_id in made:
        cloud.call("DELETE", f"/compute/v2.1/servers/{server_id}")
    return {
        "idle_cpu_percent_simulated": round(idle * 100, 2),
        "create_cpu_ms": {"median": round(statistics.median(creates), 2), "runs": [round(c, 2) for c in creates]},
        "get_server_cpu_ms": get,
        "list_100_cpu_ms": lists,
    }


def simulated(runs: int) -> dict[str, Any]:
    cloud = Cloud("bench-sim", 9741, "--simulate")
    result: dict[str, Any] = {"help_s": median(runs, help_s)}
    fresh = []
    for _ in range(runs):
        fresh.append(first_answer_s(cloud))
        cloud.down("--wipe")
    result["first_answer_fresh_s"] = {"median": statistics.median(fresh), "runs": fresh}
    cloud.up()
    cloud.down()
    result["first_answer_s"] = median(runs, lambda: first_answer_s(cloud))
    result["simulated_active_after_command_s"] = median(runs, lambda: active_after_command_s(cloud))
    cloud.up()
    try:
        cloud.login()
        result |= measure_requests(cloud, runs)
    finally:
        cloud.down("--wipe")
    return result


def real(runs: int) -> dict[str, Any]:
    """With QEMU guests; needs root."""
    cloud = Cloud("bench-real", 9742)
    cloud.up()
    try:
        cloud.login()
        _delete(cloud, _create(cloud, "warm"))
        result: dict[str, Any] = {
            "idle_pss_mib": round(cloud.pss_mib(), 1),
            "idle_cpu_percent": round(idle_cpu(cloud) * 100, 2),
            "real_active_after_post_s": median(runs, lambda: active_after_post_s(cloud)),
            "ssh_after_post_s": median(runs, lambda: ssh_after_post_s(cloud)),
        }
        cloud.down()
        result["first_answer_real_s"] = median(runs, lambda: first_answer_s(cloud))
    finally:
        cloud.down("--wipe")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--real", action="store_true", help="measure real guests, too (root)")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    load_before = os.getloadavg()
    result: dict[str, Any] = {"when": time.strftime("%Y-%m-%d"), "cores": os.cpu_count(), "load_before": load_before}
    result |= simulated(options.runs)
    result["identity"] = identity.measure(options.runs)
    if options.real:
        result |= real(options.runs)
    result["load_after"] = os.getloadavg()
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
