from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch

from src.callbacks.checkpoint_io import AtomicCheckpointIO
from src.callbacks.checkpoints import Checkpoints
from src.runs.folder import Run


class FakeTrainer(SimpleNamespace):
    """Saves the number of its epoch, and what the callback remembers."""

    is_global_zero = is_last_batch = True
    world_size = 1
    global_step = 0
    max_epochs = current_epoch = -1

    def save_checkpoint(self, path: Path) -> None:
        content = {"config": {}, "epoch": self.epoch, "callbacks": {"Checkpoints": self.callback.state_dict()}}
        AtomicCheckpointIO().save_checkpoint(content, path)


def saved(run: Run) -> dict[str, int]:
    paths = run.path.glob("checkpoints/*")
    return {path.name: torch.load(path, weights_only=True)["epoch"] for path in paths}


def train(run: Run, scores: list[float | None], callback: Checkpoints | None = None) -> Checkpoints:
    callback = callback or Checkpoints(run, {})
    for epoch, score in enumerate(scores, start=1):
        metrics = {} if score is None else {"val/acc": torch.tensor(score)}
        trainer: Any = FakeTrainer(epoch=epoch, callback_metrics=metrics, callback=callback)
        callback.on_train_epoch_end(trainer, cast(Any, None))
    return callback


def test_best_is_the_first_of_the_highest_and_last_the_newest(tmp_path: Path) -> None:
    run = Run(tmp_path)
    train(run, [0.5, 0.9, 0.9, 0.7])

    assert saved(run) == {"best.ckpt": 2, "last.ckpt": 4, "last.prev.ckpt": 3}


def test_without_validation_there_is_no_best(tmp_path: Path) -> None:
    run = Run(tmp_path)
    train(run, [None, None])

    assert saved(run) == {"last.ckpt": 2, "last.prev.ckpt": 1}


def test_a_resumed_run_remembers_its_best_score(tmp_path: Path) -> None:
    run = Run(tmp_path)
    state = train(run, [0.5, 0.9]).state_dict()
    resumed = Checkpoints(run, {})
    resumed.load_state_dict(state)
    train(run, [0.8], resumed)

    assert saved(run)["best.ckpt"] == 2


def test_the_best_of_an_epoch_that_was_given_up_is_not_the_best(tmp_path: Path) -> None:
    run = Run(tmp_path)
    state = train(run, [0.5]).state_dict()
    train(run, [0.9])  # and somebody goes on from the epoch before it
    resumed = Checkpoints(run, {})
    resumed.load_state_dict(state)
    train(run, [0.3, 0.4, 0.2], resumed)

    assert saved(run)["best.ckpt"] == 2
    assert resumed.best_score == torch.tensor(0.4)


def test_a_run_that_branches_off_finds_its_own_best(tmp_path: Path) -> None:
    state = train(Run(tmp_path / "old"), [0.9]).state_dict()
    branch = Checkpoints(Run(tmp_path / "new"), {})
    branch.load_state_dict(state)
    train(branch.run, [0.8], branch)

    assert saved(branch.run)["best.ckpt"] == 1
