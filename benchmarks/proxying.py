"""What it costs to forward: requests with small answers, and one large answer, beside other ways.

Run ``python -m benchmarks.proxying`` (``--quick`` takes half a minute). The proxies run alone, one
after another, in one process each, before the same upstream; ratios are to the bare relay in
aiohttp. nginx comes from Debian's package (``apt-get install nginx-light``); without it a line
says so. CPU time is the proxy's own, as the kernel counts it. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import asdict, frozen

from benchmarks.load import cpu_seconds, peak_bytes
from benchmarks.loops import run
from benchmarks.run import free_port, running, serving, wait_for

MB = 1_000_000
RIVALS = {
    "aiohttp relay": ("benchmarks.peers.aiohttp_relay",),
    "nginx": (),
    "FastAPI + httpx": ("benchmarks.peers.fastapi_httpx",),
    "openbolt": ("benchmarks.serve_proxy",),
    "openbolt, secret": ("benchmarks.serve_proxy", "--secret"),
}
_NGINX = """
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream up {{ server {upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location /api/proxy/up/ {{
      proxy_pass http://up/; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


@frozen
class Plan:
    """Requests, connections at one time, bytes of a small answer and of the large one."""

    requests: int
    at_once: int
    small: int
    large: int


@frozen
class Figures:
    """What a proxy took. ``peak_mb`` is its resident memory at most, in MB of 10^6 bytes."""

    name: str
    requests_per_second: float
    cpu_us_per_request: float
    mb_per_second: float
    cpu_ms_per_mb: float
    peak_mb_small: float
    peak_mb: float


async def fetch(host: tuple[str, int], size: int, times: int) -> None:
    """Ask so often over one connection, and read every byte."""
    reader, writer = await asyncio.open_connection(*host, limit=4 * 1024 * 1024)
    request = f"GET /api/proxy/up/{size} HTTP/1.1\r\nhost: {host[0]}:{host[1]}\r\n\r\n".encode()
    try:
        for _ in range(times):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode("latin-1"))
            left = size
            while left:
                data = await reader.read(min(left, 1024 * 1024))
                if not data:
                    raise RuntimeError("The answer broke off.")
                left -= len(data)
    finally:
        writer.close()


async def many(host: tuple[str, int], plan: Plan) -> None:
    each = plan.requests // plan.at_once
    await asyncio.gather(*(fetch(host, plan.small, each) for _ in range(plan.at_once)))


def measured(name: str, port: int, pid: int, plan: Plan) -> Figures:
    host = ("127.0.0.1", port)
    run(many(host, Plan(plan.at_once * 4, plan.at_once, plan.small, 0)))
    cpu, began = cpu_seconds(pid), time.monotonic()
    run(many(host, plan))
    small, small_cpu = time.monotonic() - began, cpu_seconds(pid) - cpu
    peak_small = peak_bytes(pid)
    cpu, began = cpu_seconds(pid), time.monotonic()
    run(fetch(host, plan.large, 1))
    large, large_cpu = time.monotonic() - began, cpu_seconds(pid) - cpu
    requests = plan.requests // plan.at_once * plan.at_once
    return Figures(
        name,
        requests / small,
        small_cpu / requests * 1e6,
        plan.large / MB / large,
        large_cpu / (plan.large / MB) * 1e3,
        peak_small / MB,
        peak_bytes(pid) / MB,
    )


@contextmanager
def started(name: str, upstream: int) -> Iterator[tuple[int, int]]:
    """A proxy's port and process id."""
    if name != "nginx":
        module, *options = RIVALS[name]
        url = f"http://127.0.0.1:{upstream}"
        with serving(module, *options, "--upstream", url) as found:
            yield found
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="openbolt-nginx-") as folder:
        written = _NGINX.format(folder=folder, port=port, upstream=f"127.0.0.1:{upstream}")
        config = Path(folder) / "nginx.conf"
        config.write_text(written)
        with running(["nginx", "-p", folder, "-c", str(config)]) as process:
            wait_for(process, lambda: socket.create_connection(("127.0.0.1", port), 1).close())
            yield port, process.pid


def table(results: list[Figures]) -> str:
    base = results[0]
    lines = [
        f"{'':18}{'req/s':>9}{'CPU µs/req':>14}{'MB/s':>9}{'CPU ms/MB':>13}{'peak MB':>9}",
    ]
    for each in results:
        request = _ratio(each.cpu_us_per_request, base.cpu_us_per_request)
        byte = _ratio(each.cpu_ms_per_mb, base.cpu_ms_per_mb)
        lines.append(
            f"{each.name:18}{each.requests_per_second:9.0f}"
            f"{each.cpu_us_per_request:7.0f} x{request:5.2f}"
            f"{each.mb_per_second:9.0f}{each.cpu_ms_per_mb:6.2f} x{byte:5.2f}"
            f"{each.peak_mb:9.0f}"
        )
    lines += [
        f"{each.name}: {each.peak_mb_small:.0f} MB before the large answer, "
        f"{each.peak_mb:.0f} with it"
        for each in results
        if each.name.startswith("openbolt")
    ]
    return "\n".join(lines)


def _ratio(value: float, base: float) -> float:
    return value / base if base else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description="What it costs to forward, beside other ways.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="fewer requests and 256 MiB")
    size.add_argument("--tiny", action="store_true", help="only to see that it works")
    parser.add_argument("--only", action="append", metavar="NAME", help="part of a proxy's name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    plan = Plan(20_000, 50, 1000, 1024**3)
    if options.quick:
        plan = Plan(6000, 50, 1000, 256 * 1024**2)
    if options.tiny:
        plan = Plan(20, 2, 1000, 1024**2)
    wanted = [
        name for name in RIVALS if not options.only or any(part in name for part in options.only)
    ]
    if "nginx" in wanted and not shutil.which("nginx"):
        wanted.remove("nginx")
        print("NGINX IS LEFT OUT: it isn't here; apt-get install nginx-light", file=sys.stderr)
    results: list[Figures] = []
    with serving("benchmarks.peers.files") as (upstream, _):
        for name in wanted:
            with started(name, upstream) as (port, pid):
                results.append(measured(name, port, pid, plan))
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in results], indent=2))


if __name__ == "__main__":
    main()
