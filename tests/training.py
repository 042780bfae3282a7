"""A training of three epochs, stopped where a test wants it, and what it left in its run folder."""

import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

METRICS = ("train/loss", "train/acc", "val/loss", "val/acc")
EPOCHS = ("--trainer.max_epochs", "3")
BATCHES = 6  # in an epoch
NO_CALLBACKS = ("--trainer.callbacks", "null")  # what a test stopped by is not to stop again


class SaveAt(Callback):
    """Saves in the middle of an epoch, into ``middle.ckpt`` beside the runs."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "middle.ckpt")


# the third of the six batches of epoch 2
SAVE = ("--trainer.callbacks+=tests.training.SaveAt", "--trainer.callbacks.step", "9")


def run_folder(tmp_path: Path, number: int = 0) -> Path:
    return tmp_path / "lightning_logs" / f"version_{number}"


def checkpoint(folder: Path, name: str = "last") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return content


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    names = events.Tags()["scalars"]
    return {name: [(point.step, point.value) for point in events.Scalars(name)] for name in names}


def recorded(folder: Path, name: str = "result") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return content


def results(folder: Path) -> list[dict[str, float]]:
    return [{name: epoch[name] for name in ("epoch", *METRICS)} for epoch in recorded(folder)["epochs"]]


def same(one: Any, other: Any) -> bool:
    """Compare nested values bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def same_training(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Compare weights and Adam's state bit for bit."""
    moments = [content["optimizer_states"][0]["state"] for content in (one, other)]
    return same(one["state_dict"], other["state_dict"]) and same(*moments)
