"""Run a peer as a process of its own and take what it and the operating system say about it."""

import json
import os
import platform
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE, PEERS = ".venv/bin/python", ".venv-peers/bin/python"
MAIN_JOB = "configs/mlp.yaml"
CLOCK = ["--trainer.callbacks", "benchmarks.peers.lightning_clock.LightningClock"]
PEER_PACKAGES = ("tensorflow", "keras", "jax")
Figures = dict[str, Any]
"""epoch_seconds, first_step_seconds and val/acc as the process printed them; whole_seconds, processor_seconds (of all
cores) and peak_mb from outside."""


def run(command: list[str], environment: dict[str, str] | None = None, exit_code: int = 0) -> Figures:
    """Run a command from the repository's root to its end and return its figures.

    The peak memory is the resident set's, libraries included, of the process itself. (It is never below this
    process' own, from which it is forked, so this one stays small.)

    Raises:
        SystemExit: If the command ended with another exit code.
    """
    with tempfile.TemporaryFile("w+") as output:
        start = time.time()
        ours = {"BENCHMARK_STARTED": str(start), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": ""}
        variables = os.environ | ours | (environment or {})
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=variables)
        _, status, usage = os.wait4(process.pid, 0)
        whole = time.time() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        lines = output.read().splitlines()
    if process.returncode != exit_code:
        raise SystemExit("\n".join([*lines[-30:], f"failed: {' '.join(command)}"]))
    printed = [line for line in lines if line.startswith('{"epoch_seconds"')]
    figures: Figures = json.loads(printed[-1]) if printed else {}
    used = usage.ru_utime + usage.ru_stime
    return figures | {"whole_seconds": whole, "processor_seconds": used, "peak_mb": usage.ru_maxrss / 1024}


def run_fit(config: str, *words: str, environment: dict[str, str] | None = None) -> Figures:
    """Train a recipe as a user does, with the clock beside it, and its run folder in a temporary place."""
    with tempfile.TemporaryDirectory() as folder:
        command = [HERE, "-m", "src.cli", "fit", "--config", config, *CLOCK, "--trainer.default_root_dir", folder]
        return run([*command, *words], environment)


def machine() -> dict[str, str | int | None]:
    """Describe where the figures come from."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    name = next(line.partition(": ")[2] for line in cpuinfo.splitlines() if line.startswith("model name"))
    return {"cores": os.cpu_count(), "cpu": name}


def versions(peers: bool) -> dict[str, str]:
    """Return the versions of what is compared."""
    installed = {"python": platform.python_version()} | {name: version(name) for name in ("torch", "lightning")}
    if peers:
        code = f"from importlib.metadata import version; print(*map(version, {PEER_PACKAGES}))"
        printed = subprocess.run([PEERS, "-c", code], capture_output=True, text=True, check=True).stdout
        installed |= dict(zip(PEER_PACKAGES, printed.split(), strict=True))
    return installed
