"""The store in which the processes of a job meet; a RunError names missing processes."""

import os
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from src.common.errors import RunError, UsageError
from src.common.system import WINDOWS

POLL_SECONDS, CONNECT_SECONDS = 0.02, 5.0


def new_store(environment: ClusterEnvironment, processes: Sequence[Any]) -> Store:
    """Return an empty store, held by rank 0; Lightning's process group will use it too.

    The store of torchrun outlives a restart, and keeps addresses of dead processes, to which gloo would connect
    (torch 2.15). So it only passes on the new store's port: each process draws a new key and writes the key to
    ``mnist/asks/RANK``, and rank 0 writes the port under that key.

    ``processes`` are the child processes, if rank 0 has started the other ranks.
    """
    rank, address, port = environment.global_rank(), environment.main_address, environment.main_port
    agent, key = None, f"mnist/port/{uuid.uuid4().hex}"
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        agent, port = open_store(address, port, is_first=False), 0
        if rank:
            agent.set(f"mnist/asks/{rank}", key)
            wait_for(lambda: "" if agent.check([key]) else "rank 0")
            port = int(agent.get(key))
    store = open_store(address, port, is_first=not rank)
    os.environ.update(MASTER_PORT=str(store.port), TORCHELASTIC_USE_AGENT_STORE="False")
    store.set(f"here/{rank}", "")
    others = [0] if rank else range(1, environment.world_size())

    def missing() -> str:
        for asks in (f"mnist/asks/{other}" for other in others):
            if agent and agent.check([asks]):  # a dead process may have asked, which does no harm
                agent.set(agent.get(asks).decode(), str(store.port))
        for number, process in enumerate(processes, 1):
            if code := process.poll():
                raise RunError(f"rank {number} has ended (exit code {code}): see its output, or free some memory.")
        return ", ".join(f"rank {other}" for other in others if not store.check([f"here/{other}"]))

    wait_for(missing)
    return store


def open_store(address: str, port: int, is_first: bool) -> TCPStore:
    """Return the store of rank 0, or a connection to it; raise UsageError or RunError if it cannot be reached."""
    try:
        socket.getaddrinfo(address, port)
    except socket.gaierror as error:
        raise UsageError(
            f"the first machine's name, {address}, is not known here ({error.strerror}): set MASTER_ADDR to an "
            "address of it for all processes, or with torchrun --local-addr on each machine to its own."
        ) from error

    def missing() -> str:
        with suppress(OSError), socket.create_connection((address, port), CONNECT_SECONDS):
            return ""
        return f"rank 0, at {address}:{port},"

    if not is_first:
        wait_for(missing)  # torch would print pages of errors
    # PyTorch's wheels for Windows have no libuv
    return TCPStore(address, port, is_master=is_first, wait_for_workers=False, multi_tenant=True, use_libuv=not WINDOWS)


def wait_for(missing: Callable[[], str]) -> None:
    """Wait until ``missing`` names no process; raise RunError after MNIST_WAIT_SECONDS, by default a minute."""
    if not (seconds := os.environ.get("MNIST_WAIT_SECONDS", "60")).isdecimal():
        raise UsageError(f"MNIST_WAIT_SECONDS is {seconds}: give a whole number of seconds.")
    if not wait_until(lambda: not missing(), int(seconds)) and (who := missing()):
        way_out = f"see its output, or wait longer with MNIST_WAIT_SECONDS={5 * int(seconds)}"
        raise RunError(f"{who} has not come within {seconds} s: {way_out}.")


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds, at most so many seconds; return whether it holds."""
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return held
