"""Agreement among the processes of a job, before there is a process group and after it has failed.

The processes use a store on rank 0. Its keys, in the order in which they are written:

- ``here/RANK``: the process has connected.
- the keys of ``from_first``: a value that rank 0 determines for all.
- ``run``: the run folder and the text of its ``job.json``, or null.
- ``ready/RANK``: the process's SHA-256 of data and checkpoints, or the error that ends the process.
- ``go``: all processes agree, and work begins.
- ``said``: rank 0 ends and has printed the reason. ``heard``: how many processes have read ``said``.
"""

import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from torch.distributed import DistError, Store  # type: ignore[attr-defined]

from src.common.errors import UsageError
from src.launch.job import note_of
from src.launch.launcher import Launch
from src.launch.store import POLL_SECONDS, new_store, wait_until

SHARED_FOLDER_SECONDS = 20.0  # a network file system may show a new folder late
GOODBYE_SECONDS = 20.0


class Ranks:
    """This process among the processes of its job."""

    def __init__(self, launch: Launch) -> None:
        self.rank, self.world_size = launch.rank, 1
        self._store: Store | None = None
        self._has_checked_in = False

    def join(self, environment: ClusterEnvironment | None, processes: Sequence[Any] = ()) -> None:
        """Meet the other processes, if any; ``processes`` are child processes that Lightning has started."""
        if self._store is not None or environment is None or environment.world_size() == 1:
            return
        self.rank, self.world_size = environment.global_rank(), environment.world_size()
        try:
            self._store = new_store(environment, processes)
        except BaseException:
            for process in processes:
                process.kill()
            raise

    def from_first(self, key: str, find: Callable[[], str]) -> str:
        """Return on every process the value that ``find`` returns on rank 0."""
        if self.rank and self._store is not None:
            return self._wait_for(key)
        value = find()
        if self._store is not None:
            self._store.set(key, value)
        return value

    def check_in(self, facts: Callable[[], dict[str, str]], run: Path | None = None) -> None:
        """Wait until every process is ready, has the same ``facts`` as rank 0 and sees the run folder, if any.

        ``facts`` returns the SHA-256 of data and checkpoints by name.
        """
        if self._store is None or self._has_checked_in:
            return
        my_facts = facts()
        if self.rank:
            place, note = json.loads(self._wait_for("run")) or ("", "")
            sees = not place or wait_until(lambda: note_of(Path(place)) == note, SHARED_FOLDER_SECONDS)
            self._answer({"facts": my_facts, "missing": None if sees else place})
            self._wait_for("go")
        else:
            self._store.set("run", json.dumps([str(run), note_of(run)] if run else None))
            # read all answers before refusing: a refused run's folder is removed, and other ranks may still look for it
            answers = {rank: json.loads(self._wait_for(f"ready/{rank}")) for rank in range(1, self.world_size)}
            for rank, answer in answers.items():
                if problem := _problem(my_facts, answer):
                    raise UsageError(f"rank {rank} {problem}")
            self._store.set("go", "")
        self._has_checked_in = True

    def speak(self, sentence: str) -> None:
        """Print why this process ends; until all processes have checked in, rank 0 prints for all of them."""
        if not self.rank or self._store is None:  # or rank 0 cannot be reached
            print(sentence, file=sys.stderr, flush=True)
        if (store := self._store) is None or self._has_checked_in:
            return
        # once one process has ended, a launcher sends SIGTERM to the rest, which are about to end anyway
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with suppress(DistError):  # rank 0 is gone
            if self.rank:
                self._answer({"error": sentence.removeprefix("error: ")})
                wait_until(lambda: store.check(["said"]), GOODBYE_SECONDS)
                store.add("heard", 1)
            else:
                store.set("said", "")  # then wait: the store ends with this process
                wait_until(lambda: store.add("heard", 0) == self.world_size - 1, GOODBYE_SECONDS)

    def leave(self) -> None:
        """Destroy the process group before Python ends: gloo's threads would sometimes abort the process."""
        if torch.distributed.is_initialized() and torch.distributed.get_backend() == "gloo":
            torch.distributed.destroy_process_group()

    def _answer(self, content: dict[str, Any]) -> None:
        assert self._store is not None
        self._store.set(f"ready/{self.rank}", json.dumps({"host": socket.gethostname(), **content}))

    def _wait_for(self, key: str) -> str:
        """Return a key's value once it is set; raise UsageError if rank 0 ends before."""
        assert self._store is not None
        while not self._store.check([key]):
            if self._store.check(["said"]):
                raise UsageError("the first process has ended.")
            time.sleep(POLL_SECONDS)
        value: bytes = self._store.get(key)
        return value.decode()


def _problem(facts: dict[str, str], answer: dict[str, Any]) -> str | None:
    """Return why another process cannot work with rank 0, or None."""
    if "error" in answer:
        return f"({answer['host']}): {answer['error']}"
    if answer["missing"]:
        return (
            f"({answer['host']}) does not see the run folder {answer['missing']}: name a place that all machines "
            "share with --trainer.default_root_dir."
        )
    for name, value in answer["facts"].items():
        if facts.get(name, value) != value:
            return (
                f"({answer['host']}) has {value} for {name} where rank 0 has {facts[name]}: "
                "start all with the same data and checkpoints."
            )
    return None
