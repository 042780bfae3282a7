"""Commands in forks of a process that has imported everything: imports take 3 s, most of the commands less than one.

A fork happens where ``python -m src.cli`` calls ``main``. All before and behind it, the exit included, is
``src/cli/__main__.py`` as it is. What the imports read (variables, the path, who launched) is not tested by a fork, so
what tests it starts Python.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile

import src.cli.main
from src.cli.main import main

REPOSITORY = Path(__file__).parents[1]


class Parent:
    """The process that forks, one command after the other."""

    def __init__(self) -> None:
        self.socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.forks", str(other.fileno())],
                cwd=REPOSITORY,
                env={**os.environ, "OMP_NUM_THREADS": "1"},  # a process that has threads must not fork
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )

    def run(self, words: list[str], folder: Path, environment: dict[str, str], timeout: int) -> tuple[int, str, str]:
        """Return exit code, output and errors of a command, as ``subprocess`` tells them."""
        with TemporaryFile() as out, TemporaryFile() as err:
            request = json.dumps([words, str(folder), environment]).encode()
            self.socket.settimeout(60)  # for its imports
            socket.send_fds(self.socket, [request], [out.fileno(), err.fileno()])
            child = int(self.socket.recv(99))
            self.socket.settimeout(timeout)
            try:
                status = int(self.socket.recv(99))
            except TimeoutError:
                os.kill(child, signal.SIGKILL)
                self.socket.settimeout(60)
                self.socket.recv(99)
                raise subprocess.TimeoutExpired(words, timeout) from None
            out.seek(0)
            err.seek(0)
            return os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode()

    def end(self) -> None:
        self.socket.close()
        assert self.process.wait(60) == 0


def fork_for_each(requests: socket.socket) -> int:
    """In ``main``'s place: in a fork do what it does, in the parent wait for the fork and go on."""
    while True:
        request, files, _, _ = socket.recv_fds(requests, 1_000_000, 2)
        if not request:  # the tests are over
            os._exit(0)
        assert len([*Path("/proc/self/task").iterdir()]) == 1
        child = os.fork()
        if not child:
            break
        for file in files:
            os.close(file)
        requests.send(str(child).encode())
        requests.send(str(os.waitpid(child, 0)[1]).encode())
    requests.close()
    for number, file in enumerate(files, 1):
        os.dup2(file, number)
        os.close(file)
    words, folder, environment = json.loads(request)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = folder
    sys.argv[1:] = words
    src.cli.main.main = main
    if (Path(folder) / "src").is_dir():  # a copy, perhaps with changes; importing that takes 0.1 s
        for name in [name for name in sys.modules if name.partition(".")[0] == "src"]:
            del sys.modules[name]
    else:
        sys.path.insert(1, str(REPOSITORY))
    if words[0] == "-c":
        exec(words[1], {"__name__": "__main__"})
        return 0
    return int(import_module("src.cli.main").main())


if __name__ == "__main__":
    requests = socket.socket(fileno=int(sys.argv[1]))
    src.cli.main.main = partial(fork_for_each, requests)
    sys.argv[1:] = ["fit"]  # whose imports are all that is needed
    runpy.run_module("src.cli", run_name="__main__", alter_sys=True)
