"""A real SLURM of two nodes on this machine, with a configuration, a key, ports and a folder of its own."""

import getpass
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.faults.processes import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun")
NODES = ("n1", "n2")
ENDS = ("COMPLETED", "FAILED", "CANCELLED")
CONFIG = """
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/pgid
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=60
ReturnToService=2
SchedulerParameters=batch_sched_delay=1,sched_interval=1
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""
NODE = "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=8\n"
SECONDS = 240  # for any state of a job; a start takes five on a machine that does nothing else


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Slurm:
    """Its daemons run from the start to ``stop``; should this process be killed, they end too.

    Args:
        folder: For everything that they write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "MASTER_ADDR": "127.0.0.1"}
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", *NODES):
            (folder / name).mkdir()
        nodes = "".join(NODE.format(name=name, port=free_port()) for name in NODES)
        user = getpass.getuser()
        (folder / "slurm.conf").write_text(CONFIG.format(port=free_port(), user=user, folder=folder) + nodes)
        (folder / "key").write_bytes(os.urandom(128))
        (folder / "key").chmod(0o600)
        files = {"key-file": "key", "socket": "munge.socket", "pid-file": "munge.pid", "seed-file": "munge.seed"}
        places = [f"--{flag}={folder / name}" for flag, name in {**files, "log-file": "munge.log"}.items()]
        self._run_daemon("munged", "munged", "--foreground", "--force", *places)
        self._run_daemon("slurmctld", "slurmctld", "-D", "-c")
        for name in NODES:
            self.start_node(name)
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        self.wait_until(lambda: self.call("sinfo", "--noheader", "--format=%T").split() == ["idle"], "two idle nodes")

    def _run_daemon(self, key: str, *command: str) -> None:
        with (self.folder / f"{key}.log").open("a") as log:
            words = ["setpriv", "--pdeathsig", "TERM", *command]
            self.daemons[key] = subprocess.Popen(words, env=self.environment, stdout=log, stderr=log)

    def start_node(self, name: str) -> None:
        self._run_daemon(name, "slurmd", "-D", "-c", "-N", name)

    def kill_node(self, name: str) -> None:
        """Kill all that runs on a node, as if its power were gone."""
        self.daemons[name].kill()
        self.daemons[name].wait()
        for path in Path("/proc").glob("[0-9]*"):
            try:
                is_there = f"SLURMD_NODENAME={name}\0".encode() in (path / "environ").read_bytes()
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])  # slurmstepd
                is_ours = str(self.folder).encode() in (path / "environ").read_bytes()
            except (OSError, IndexError):
                continue
            if is_there and is_ours and parent > 1:
                for number in (parent, int(path.name)):
                    os.kill(number, signal.SIGKILL)

    def call(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        return done.stdout if not done.returncode else f"{done.stdout}{done.stderr}"

    def wait_until(self, holds: Callable[[], bool], what: str, output: Path | None = None) -> None:
        deadline = time.monotonic() + SECONDS
        while not holds():
            if time.monotonic() > deadline:
                logs = [output, *(self.folder / f"{name}.log" for name in ("slurmctld", *NODES))]
                said = [f"{path.name}:\n{path.read_text()[-3000:]}" for path in logs if path and path.exists()]
                raise AssertionError("\n".join([f"no {what}", *said]))
            time.sleep(0.2)

    def submit(self, root: Path, words: list[str], *options: str, **variables: str) -> "Job":
        """Send scripts/slurm.sbatch into the queue with ``fit``'s words."""
        shape = ["--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=0", "--cpus-per-task=1"]
        command = ["sbatch", "--parsable", f"--output={root}/%A.out", *shape, *options, "scripts/slurm.sbatch", *words]
        environment = {**self.environment, "PYTHON": sys.executable, **variables}
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return Job(self, done.stdout.strip(), root)

    def stop(self) -> None:
        self.call("scancel", "--full", "--signal=KILL", f"--user={getpass.getuser()}")
        self.call("scancel", f"--user={getpass.getuser()}")
        self.wait_until(lambda: not self.call("squeue", "--noheader"), "end of the jobs")
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


class Job:
    """One in its queue.

    Args:
        slurm: Whose.
        name: Its number; one of an array has the array's and its own, as in 5_1.
        root: Where its output is.
    """

    def __init__(self, slurm: Slurm, name: str, root: Path) -> None:
        self.slurm, self.name, self.root = slurm, name, root

    @property
    def place(self) -> Path:
        return self.root / f"{self.name.partition('_')[0]}.out"

    @property
    def output(self) -> str:
        return self.place.read_text()

    def wait_for(self, state: str, restarts: int = 0) -> None:
        """Wait until it has a state, after it was put back into the queue ``restarts`` times."""

        def holds() -> bool:
            shown = self.slurm.call("scontrol", "--oneliner", "show", "job", self.name)
            fields = dict(re.findall(r"(\w+)=(\S+)", shown))
            now = (fields.get("JobState"), fields.get("Restarts"))
            assert now[0] == state or now[0] not in ENDS, f"{shown}\n{self.output}"
            return now == (state, str(restarts)) and not (state in ENDS and self.is_completing())

        self.slurm.wait_until(holds, f"job {self.name} that is {state} after {restarts} restarts", self.place)

    def is_completing(self) -> bool:
        """Whether something of it is still there; its state tells of the end before."""
        shown = self.slurm.call("squeue", "--noheader", "--states=all", "--format=%T", "--jobs", self.name)
        return "COMPLETING" in shown

    def wait_for_output(self, text: str) -> None:
        self.slurm.wait_until(lambda: self.place.exists() and text in self.output, f"{text} in the output", self.place)

    def start_again(self, seconds: int = 0) -> None:
        """Let it begin in some seconds; SLURM leaves two minutes after a job was put back."""
        assert self.slurm.call("scontrol", "update", f"JobId={self.name}", f"StartTime=now+{seconds}") == ""
