"""Before there is a process group, and when it has failed: are all processes ready, do they agree, and who speaks?"""

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
    """The processes that work together, which talk through a store that the first one holds."""

    def __init__(self, launch: Launch) -> None:
        self.rank, self.world_size = launch.rank, 1
        self._store: Store | None = None
        self._has_checked_in = False

    def join(self, environment: ClusterEnvironment | None, processes: Sequence[Any] = ()) -> None:
        """Meet the other processes, if there are any.

        Args:
            environment: What Lightning knows of all of them.
            processes: Those that Lightning has started in this one.
        """
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
        """Return what the first process finds, on all of them."""
        if self.rank and self._store is not None:
            return self._wait_for(key)
        value = find()
        if self._store is not None:
            self._store.set(key, value)
        return value

    def check_in(self, facts: Callable[[], dict[str, str]], run: Path | None = None) -> None:
        """Wait until every process is ready, and make sure that all agree and see the run folder.

        Args:
            facts: What must be the same on all of them, by name: the SHA-256 of data and checkpoints.
            run: The run folder, on the first process, if it is to be written to.

        Raises:
            UsageError: On all of them, if one is not ready or differs from the first one.
        """
        if self._store is None or self._has_checked_in:
            return
        own = facts()
        if self.rank:
            place, note = json.loads(self._wait_for("run")) or ("", "")
            sees = not place or wait_until(lambda: note_of(Path(place)) == note, SHARED_FOLDER_SECONDS)
            self._answer({"facts": own, "missing": None if sees else place})
            self._wait_for("go")
        else:
            self._store.set("run", json.dumps([str(run), note_of(run)] if run else None))
            # all of them first: a refused run takes its folder away, for which they may still be looking
            answers = {rank: json.loads(self._wait_for(f"ready/{rank}")) for rank in range(1, self.world_size)}
            for rank, answer in answers.items():
                if problem := _problem(own, answer):
                    raise UsageError(f"rank {rank} {problem}")
            self._store.set("go", "")
        self._has_checked_in = True

    def speak(self, sentence: str) -> None:
        """Print why this process ends. The first one speaks for all, so it hears the others until they have checked in.

        Args:
            sentence: What to print.
        """
        if not self.rank or self._store is None:  # or it cannot reach the first one
            print(sentence, file=sys.stderr, flush=True)
        if (store := self._store) is None or self._has_checked_in:
            return
        # a launcher sends it to the rest when one has ended, and all are about to
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with suppress(DistError):  # the first one is gone
            if self.rank:
                self._answer({"error": sentence.removeprefix("error: ")})
                wait_until(lambda: store.check(["said"]), GOODBYE_SECONDS)
                store.add("heard", 1)
            else:
                store.set("said", "")  # then it waits, as the store goes with it
                wait_until(lambda: store.add("heard", 0) == self.world_size - 1, GOODBYE_SECONDS)

    def leave(self) -> None:
        """End the process group before Python ends: gloo's threads would abort the process then and again."""
        if torch.distributed.is_initialized() and torch.distributed.get_backend() == "gloo":
            torch.distributed.destroy_process_group()

    def _answer(self, content: dict[str, Any]) -> None:
        assert self._store is not None
        self._store.set(f"ready/{self.rank}", json.dumps({"host": socket.gethostname(), **content}))

    def _wait_for(self, key: str) -> str:
        """Return a key's value when it is set; UsageError if the first process ends before."""
        assert self._store is not None
        while not self._store.check([key]):
            if self._store.check(["said"]):
                raise UsageError("the first process has ended.")
            time.sleep(POLL_SECONDS)
        value: bytes = self._store.get(key)
        return value.decode()


def _problem(facts: dict[str, str], answer: dict[str, Any]) -> str | None:
    """Say what keeps another process from working with the first one, or None."""
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
