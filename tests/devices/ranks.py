"""Several processes of one job, forked from one that has imported everything: what each of them does and leaves.

The environment is that of torchrun, the process groups are real. Importing costs seconds a process, forking none.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only

from src.cli.main import main
from tests.faults.processes import free_port

Before = Callable[[int], Callable[[], None] | None]
WRITES = {"open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.truncate", "os.symlink"}
TIMEOUT = 120


def environment(rank: int, world_size: int, port: int, launcher: str) -> dict[str, str]:
    """What Lightning sets for the processes that it starts, or torchrun on one machine or as many as processes."""
    if launcher == "Lightning":
        own = {"LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": world_size, "MASTER_PORT": port}
        return {"MASTER_ADDR": "127.0.0.1", **{name: str(value) for name, value in own.items()}}
    machines = launcher == "torchrun on machines"
    here = {"LOCAL_RANK": 0 if machines else rank, "LOCAL_WORLD_SIZE": 1 if machines else world_size}
    node = {"GROUP_RANK": rank if machines else 0, "GROUP_WORLD_SIZE": world_size if machines else 1}
    group = {"RANK": rank, "WORLD_SIZE": world_size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in {**here, **node, **group, "TORCHELASTIC_RUN_ID": "none"}.items()}


def together(
    world_size: int,
    words: list[str] | Callable[[int], list[str]],
    folder: Path,
    before: Before | None = None,
    launcher: str = "torchrun",
) -> list[dict[str, Any]]:
    """Run a command in ``world_size`` processes; return each one's exit code, output and the paths it wrote to.

    Args:
        world_size: How many. A single one is started as from a shell.
        words: The command, or that of each rank.
        folder: Where their output goes.
        before: What each rank does first; what it returns is called last.
        launcher: What they take for their launcher: "torchrun", "torchrun on machines" or "Lightning".
    """
    folder.mkdir(parents=True)
    port, children = free_port(), []
    for rank in range(world_size):
        command = words if isinstance(words, list) else words(rank)
        launched = environment(rank, world_size, port, launcher) if world_size > 1 else {}
        children.append(_fork(rank, launched, command, folder, before))
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return [
        {
            "code": code,
            "out": (folder / f"{rank}.out").read_text(),
            "err": (folder / f"{rank}.err").read_text(),
            "wrote": (folder / f"{rank}.wrote").read_text().splitlines(),
        }
        for rank, code in enumerate(codes)
    ]


def _fork(rank: int, launched: dict[str, str], words: list[str], folder: Path, before: Before | None) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        signal.alarm(TIMEOUT)  # a deadlock is a failure, not a wait
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / f"{rank}.{name}", os.O_WRONLY | os.O_CREAT, 0o666), number)
        os.environ.update(launched)
        vars(rank_zero_only)["rank"] = rank  # which Lightning reads when it is imported
        with (folder / f"{rank}.wrote").open("w", buffering=1) as log:
            sys.addaudithook(lambda event, args: _record(event, args, log))
            after = before(rank) if before else None
            code = main(words)
        if after:
            after()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _record(event: str, args: tuple[Any, ...], log: Any) -> None:
    """Write down a path that is opened to be written, made, renamed, linked or removed."""
    if event not in WRITES or (event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR)):
        return
    paths = args[:2] if event in ("os.rename", "os.link") else args[:1]
    for path in paths:
        if isinstance(path, str | bytes | os.PathLike):
            log.write(f"{os.fsdecode(path)}\n")
