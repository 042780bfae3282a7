"""The launcher of this process (torchrun, SLURM or none), the number of processes, and their devices."""

import os
import warnings
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from src.common.errors import UsageError

PROCESSES_PER_CORE = 8  # on the CPU; more must be a typing error


class Launch:
    """How this process was started: by torchrun or SLURM, which start all processes, or alone.

    If it was started alone, Lightning starts the other processes when training begins.

    Attributes:
        environment: The launcher in Lightning's terms, or None.
        rank: The number of this process among all ``world_size``.
        local_rank: The number of this process among the ``local_size`` on its machine.
        nodes: The number of machines.
    """

    def __init__(self) -> None:
        # Lightning warns of this on every machine with SLURM
        warnings.filterwarnings("ignore", message="The `srun` command is available on your system but is not used")
        self.environment: ClusterEnvironment | None = None
        self.world_size = self.local_size = self.nodes = 1
        self.rank = self.local_rank = int(os.environ.get("LOCAL_RANK", 0))  # set if Lightning started this process
        if TorchElasticEnvironment.detect():
            self.environment = TorchElasticEnvironment()
            self.local_size, self.nodes = (int(os.environ[f"{kind}_WORLD_SIZE"]) for kind in ("LOCAL", "GROUP"))
        elif SLURMEnvironment.detect() and "SLURM_PROCID" in os.environ:  # else srun did not start this process
            os.environ.setdefault("SLURM_NTASKS_PER_NODE", os.environ["SLURM_NTASKS"])  # Lightning requires it
            self.environment = SLURMEnvironment(auto_requeue=False)  # scripts/slurm.sbatch requeues
            self.nodes = int(os.environ.get("SLURM_NNODES", 1))
            self.local_size = int(os.environ["SLURM_NTASKS_PER_NODE"])
        if self.environment:
            self.rank, self.local_rank = self.environment.global_rank(), self.environment.local_rank()
            self.world_size = self.environment.world_size()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def placement(self, trainer: Namespace) -> dict[str, Any]:
        """Return the launcher's devices, num_nodes and plugins for the Trainer; nothing without a launcher."""
        devices = number_of_devices(trainer.devices)
        if self.environment is None:
            if trainer.num_nodes > 1:
                raise UsageError(
                    f"--trainer.num_nodes {trainer.num_nodes} needs a launcher on every machine: use torchrun "
                    f"--nnodes={trainer.num_nodes} or scripts/slurm.sbatch, and leave the flag out."
                )
            refuse_more_than_there_are(devices or 1, trainer.accelerator, f"--trainer.devices {trainer.devices}")
            return {}
        started = f"the launcher started {self.world_size} processes on {self.nodes} machine(s)"
        if self.local_size * self.nodes != self.world_size:
            raise UsageError(f"{started}: start the same number on each.")
        if devices not in (None, self.local_size):
            raise UsageError(f"--trainer.devices {trainer.devices} does not fit: {started}; leave the flag out.")
        if trainer.num_nodes not in (1, self.nodes):
            raise UsageError(f"--trainer.num_nodes {trainer.num_nodes} does not fit: {started}; leave the flag out.")
        refuse_more_than_there_are(self.local_size, trainer.accelerator, f"{self.local_size} processes on one machine")
        plugins = as_list(trainer.plugins)
        if not any(isinstance(plugin, ClusterEnvironment) for plugin in plugins):
            plugins.append(self.environment)
        are_named = isinstance(trainer.devices, list) or "," in str(trainer.devices)  # as in 0,2, not only counted
        devices = trainer.devices if are_named else self.local_size
        return {"devices": devices, "num_nodes": self.nodes, "plugins": plugins}


def number_of_devices(devices: Any) -> int | None:
    """Return how many devices per machine ``--trainer.devices`` asks for; None if it names no number."""
    if isinstance(devices, str) and "," in devices:
        devices = [part for part in devices.split(",") if part]
    if isinstance(devices, list | tuple):
        return len(devices)
    return int(devices) if str(devices).isdigit() else None


def refuse_more_than_there_are(processes: int, accelerator: Any, name: str) -> None:
    """Refuse more processes than GPUs or, on the CPU, than PROCESSES_PER_CORE; ``name`` begins the error."""
    gpus = torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 0
    if gpus and processes > gpus:
        raise UsageError(
            f"{name}: this machine shows {gpus} GPU(s): ask for no more, or add --trainer.accelerator cpu."
        )
    cores = os.cpu_count() or 1
    if not gpus and processes > PROCESSES_PER_CORE * cores:
        raise UsageError(f"{name}: with {cores} cores ask for at most {PROCESSES_PER_CORE * cores} processes.")


def as_list(value: Any) -> list[Any]:
    """Return the value of a flag that takes one or several objects as a list."""
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
