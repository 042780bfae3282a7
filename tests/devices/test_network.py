"""torchrun on two machines: two network namespaces with a cable between them, a name and a view of the files each."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.devices.jobs import (
    TORCHRUN,
    assert_only_new_run_is,
    end,
    fit,
    start,
    unavailable,
    wait_for_file,
    words_to_hold,
)

ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = 29500  # nobody else is in these networks


class Machines:
    """Two of them, which know each other's names; all that is in them ends with their first process.

    Args:
        hosts: The file that lists the names.
    """

    def __init__(self, hosts: Path) -> None:
        lines = [f"{address} machine{number}" for number, address in enumerate(ADDRESSES)]
        hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--uts", "sleep", "infinity"]
        self.processes = [subprocess.Popen(command) for _ in ADDRESSES]
        here = [Path(f"/proc/self/ns/{kind}").readlink() for kind in ("net", "mnt", "uts")]
        for process in self.processes:
            while any(
                Path(f"/proc/{process.pid}/ns/{kind.name.partition(':')[0]}").readlink() == kind for kind in here
            ):
                assert process.poll() is None, "no namespace"
                time.sleep(0.02)
        first, second = (str(process.pid) for process in self.processes)
        cable = ["ip", "link", "add", "eth0", "netns", first, "type", "veth", "peer", "name", "eth0", "netns", second]
        subprocess.run(cable, check=True)
        for number, address in enumerate(ADDRESSES):
            self.call(number, "hostname", f"machine{number}")
            self.call(number, "mount", "--bind", str(hosts), "/etc/hosts")
            self.call(number, "ip", "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                self.call(number, "ip", "link", "set", device, "up")

    def inside(self, number: int, *command: str) -> list[str]:
        return ["nsenter", f"--target={self.processes[number].pid}", "--net", "--mount", "--uts", *command]

    def call(self, number: int, *command: str) -> None:
        subprocess.run(self.inside(number, *command), check=True, capture_output=True)

    def torchrun(self, number: int, words: list[str], restarts: int = 2) -> subprocess.Popen[str]:
        place = ["--rdzv-backend=c10d", f"--rdzv-endpoint=machine0:{PORT}"]
        command = [*TORCHRUN, "--nnodes=2", "--nproc-per-node=1", f"--max-restarts={restarts}", *place]
        here = ["env", f"--chdir={REPOSITORY}"]
        return start(self.inside(number, *here, *command, "-m", "src.cli", *words), GLOO_SOCKET_IFNAME="eth0")

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    may = subprocess.run(["unshare", "--net", "--mount", "--uts", "true"], capture_output=True, text=True)
    if may.returncode:
        pytest.skip(f"namespaces are not allowed here: {may.stderr.strip()}")
    if subprocess.run(["ip", "-V"], capture_output=True).returncode:
        unavailable("ip is missing, so no network is tested: apt-get install iproute2")
    machines = Machines(tmp_path / "hosts")
    yield machines
    machines.stop()


def together(machines: Machines, words: list[str], restarts: int = 2) -> list[tuple[int, str, str]]:
    return [end(agent) for agent in [machines.torchrun(number, words, restarts) for number in (0, 1)]]


def test_two_machines_compute_what_two_processes_do(
    machines: Machines, root: Path, undisturbed: Path, digits: Path
) -> None:
    agents = together(machines, fit(root, digits))

    assert [code for code, _, _ in agents] == [0, 0], agents
    assert_only_new_run_is(root, undisturbed, f"{agents}")


def test_so_they_do_over_a_slow_network_that_loses_packets(
    machines: Machines, root: Path, undisturbed: Path, digits: Path
) -> None:
    for number in (0, 1):
        netem = ["netem", "delay", "20ms", "loss", "1%"]
        trouble = machines.inside(number, "tc", "qdisc", "add", "dev", "eth0", "root", *netem)
        done = subprocess.run(trouble, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"this kernel has no netem: {done.stderr.strip()}")
    agents = together(machines, fit(root, digits))

    assert [code for code, _, _ in agents] == [0, 0], agents
    assert_only_new_run_is(root, undisturbed, f"{agents}")


def test_the_cable_is_out_for_ten_seconds(machines: Machines, root: Path, undisturbed: Path, digits: Path) -> None:
    words = fit(root, digits, *words_to_hold(root / "hold"))
    agents = [machines.torchrun(number, words) for number in (0, 1)]
    wait_for_file(root / "hold" / "held", agents[0])
    machines.call(1, "ip", "link", "set", "eth0", "down")
    (root / "hold" / "held").write_text("go on")
    time.sleep(10)
    machines.call(1, "ip", "link", "set", "eth0", "up")
    ends = [end(agent) for agent in agents]

    assert [code for code, _, _ in ends] == [0, 0], ends
    assert_only_new_run_is(root, undisturbed, f"{ends}")


def test_a_folder_that_only_one_machine_sees(machines: Machines, root: Path, digits: Path) -> None:
    machines.call(1, "mount", "-t", "tmpfs", "none", str(root / "lightning_logs"))
    agents = together(machines, fit(root, digits), restarts=0)

    sentence = (
        f"error: rank 1 (machine1) does not see the run folder {root}/lightning_logs/version_1: name a place that"
    )
    assert sum(err.count(sentence) for _, _, err in agents) == 1, agents
    assert 0 not in [code for code, _, _ in agents]
    assert [path.name for path in (root / "lightning_logs").iterdir()] == ["version_0"]
