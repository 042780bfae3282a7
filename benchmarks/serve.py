"""The server under load: 20,000 pictures from 64 connections, and 5,000 requests that it must refuse or survive.

The pictures are sent once more among 200 connections that send nothing and 20 that send a picture slowly.
``python -m benchmarks.serve`` starts ``src.cli serve --ckpt_path best`` on a free port, measures and writes
``benchmarks/results/serve.json`` and the documents' table (some minutes on two cores; ``--small`` sends a fiftieth and
writes nothing). The pictures are MNIST's test images as PNG files. Client and server share the machine.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from PIL import Image

from benchmarks.documents import write_tables
from benchmarks.processes import HERE, machine, versions
from src.data.checks import DEFAULT_ROOT, TEST_IMAGES, TEST_LABELS
from src.data.idx import read_idx
from src.data.sources import place_files
from src.serve.limits import FORMATS
from tests.faults.openapi import post_generated
from tests.faults.pictures import damaged, saved
from tests.faults.requests import HEAD, keep_open

RESULTS = Path(__file__).parent / "results" / "serve.json"
PICTURES, CONNECTIONS, ALONE, MALFORMED = 20_000, 64, 2_000, 5_000
EDGE = 20  # the memory's peak in the first twentieth of the requests is compared with that in the last
IDLE, SLOW = 200, 20  # connections of others
MOST_GROWTH = 4  # MB: 0.2 kB a request would be more
MEANINGS = {200: "read all the same", 413: "too large", 415: "no picture", 422: "damaged or blank"}
Result = dict[str, Any]
Picture = tuple[bytes, int]


@contextmanager
def running_server(ckpt_path: str) -> Iterator[tuple[int, str]]:
    """Start the server; yield its process' number and its address."""
    command = [HERE, "-m", "src.cli", "serve", "--ckpt_path", ckpt_path, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        address = next(line for line in server.stdout if line.startswith("Draw on")).split()[2]
        yield server.pid, address
    finally:
        server.terminate()
        code = server.wait()
    if code:
        raise SystemExit(f"the server ended with exit code {code}")


def resident_mb(process: int) -> float:
    """Return a process' resident memory (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def pictures(count: int) -> list[Picture]:
    """Return test images as PNG files with their labels, from the first on and around again."""
    place_files()
    raw = DEFAULT_ROOT / "MNIST" / "raw"
    files = [saved(Image.fromarray(image.numpy())) for image in read_idx(raw / TEST_IMAGES)]
    labels = read_idx(raw / TEST_LABELS).tolist()
    return list(islice(cycle(zip(files, labels, strict=True)), count))


async def load(process: int, address: str, some: list[Picture], connections: int) -> Result:
    """Post pictures, each connection one after the other."""
    waiting = iter(some)
    latencies: list[float] = []
    memory: list[float] = []
    statuses: Counter[int] = Counter()
    right = 0

    async def post(session: aiohttp.ClientSession) -> None:
        nonlocal right
        for body, label in waiting:
            start = time.perf_counter()
            async with session.post("/predict", data=body, headers={"Content-Type": "image/png"}) as response:
                answer = await response.json()
            latencies.append(1000 * (time.perf_counter() - start))
            statuses[response.status] += 1
            right += answer.get("number") == str(label)
            if len(latencies) % 20 == 0:
                memory.append(resident_mb(process))

    async with aiohttp.ClientSession(address, connector=aiohttp.TCPConnector(limit=connections)) as session:
        start = time.perf_counter()
        await asyncio.gather(*(post(session) for _ in range(connections)))
        seconds = time.perf_counter() - start
    edge = max(len(memory) // EDGE, 1)
    return {
        "requests": len(some),
        "connections": connections,
        "statuses": statuses,
        "right": right,
        "per_second": len(some) / seconds,
        "p50_ms": statistics.median(latencies),
        "p99_ms": statistics.quantiles(latencies, n=100)[-1],
        "memory_first_mb": max(memory[:edge]),
        "memory_last_mb": max(memory[-edge:]),
    }


async def load_in_crowd(process: int, address: str, some: list[Picture], connections: int) -> Result:
    """Post pictures while others open connections and send nothing, or a body slowly, again and again."""
    url = urlsplit(address)
    others = [asyncio.create_task(keep_open(url.hostname, url.port, start)) for start in [b""] * IDLE + [HEAD] * SLOW]
    await asyncio.sleep(1)
    try:
        return await load(process, address, some, connections)
    finally:
        for other in others:
            other.cancel()


async def post_damaged(address: str, count: int) -> Counter[int]:
    """Post damaged files and count the answers by their status."""
    image = Image.fromarray(read_idx(DEFAULT_ROOT / "MNIST" / "raw" / TEST_IMAGES)[0].numpy())
    files = [(kind, saved(image, name)) for name, kind in FORMATS.items()]
    statuses: Counter[int] = Counter()
    async with aiohttp.ClientSession(address) as session:
        for kind, body in damaged(files, count):
            async with session.post("/predict", data=body, headers={"Content-Type": kind}) as response:
                statuses[response.status] += 1
                assert isinstance((await response.json()).get("detail", "") or "", str)
    return statuses


def measure(ckpt_path: str, share: int) -> Result:
    """Run everything against one server, at one share of its full size.

    Raises:
        SystemExit: If a request failed, or the memory grew, or the server does not answer any more.
    """
    some = pictures(PICTURES // share)
    with running_server(ckpt_path) as (process, address):
        alone = asyncio.run(load(process, address, some[: ALONE // share], 1))
        many = asyncio.run(load(process, address, some, CONNECTIONS))
        crowd = asyncio.run(load_in_crowd(process, address, some, CONNECTIONS))
        half = MALFORMED // share // 2
        malformed = post_generated(address, half) + asyncio.run(post_damaged(address, half))
        after = asyncio.run(load(process, address, some[:100], 1))
    growth = many["memory_last_mb"] - many["memory_first_mb"]
    if {*alone["statuses"], *many["statuses"], *crowd["statuses"], *after["statuses"]} != {200} or growth > MOST_GROWTH:
        raise SystemExit(f"failed: {alone} {many} {crowd} {after}")
    if not MEANINGS.keys() >= malformed.keys():
        raise SystemExit(f"failed: {malformed}")
    return {"alone": alone, "many": many, "crowd": crowd, "malformed": dict(sorted(malformed.items()))}


def tables(results: Result) -> dict[str, str]:
    """Return the documents' table."""
    rows = ["| pictures | connections | a second | p50 | p99 | memory, first and last twentieth |"]
    rows.append("|---|---|---|---|---|---|")
    for name, others in (("alone", ""), ("many", ""), ("crowd", f" among {IDLE} idle and {SLOW} slow ones")):
        if (row := results.get(name)) is None:
            continue
        rows.append(
            f"| {row['requests']:,} | {row['connections']}{others} | "
            f"{row['per_second']:,.0f} | {row['p50_ms']:.1f} ms | "
            f"{row['p99_ms']:.1f} ms | {row['memory_first_mb']:.1f} MB, {row['memory_last_mb']:.1f} MB |"
        )
    malformed = results["malformed"]
    counts = ", ".join(f"{count:,} {MEANINGS[int(status)]} ({status})" for status, count in malformed.items())
    closing = f"{sum(malformed.values()):,} malformed requests: {counts}, none a mistake of the server's (5xx)."
    return {"serve": "\n".join([*rows, "", closing])}


def main() -> None:
    """Measure, or only make the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt_path", default="best", help="the network to serve")
    parser.add_argument("--small", action="store_true", help="send a fiftieth, print the result and write nothing")
    parser.add_argument("--table", action="store_true", help="only write the documents' table from recorded results")
    flags = parser.parse_args()
    if not flags.table:
        results = {**machine(), **versions(peers=False), **measure(flags.ckpt_path, 50 if flags.small else 1)}
        if flags.small:
            print(json.dumps(results, indent=1))
            return
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_tables(tables(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
