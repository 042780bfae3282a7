"""One trial: a fit in this process, with its run folder in the study's folder."""

import json
import uuid
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from optuna import Trial

from src.callbacks.checkpoints import Checkpoints
from src.callbacks.history import History
from src.cli.fit import CLI
from src.common.errors import UsageError
from src.common.files import read_object, write_atomic
from src.data.datamodule import MNISTDataModule
from src.launch.launcher import Launch
from src.launch.ranks import Ranks
from src.runs.folder import RUNS_FOLDER, Run
from src.sweep.space import Values, flags

NOTE = "trial.json"
SWEEPS_FOLDER = f"{RUNS_FOLDER}/sweeps"
# the user's flags come after these, and win
QUIET = [
    "--inspection.enabled=false",
    "--trainer.enable_progress_bar=false",
    "--trainer.devices=1",
]


class TrialCLI(CLI):
    """Trains a trial, or resumes the run of a worker that was killed or stopped.

    ``fit`` are the flags of all trials, ``values`` the settings of this trial, ``data`` the data of an earlier trial.
    """

    def __init__(self, trial: Trial, fit: list[str], values: Values, data: MNISTDataModule | None) -> None:
        self.trial = trial
        self.swept = values
        self.data = data
        self.runs_folder = f"{SWEEPS_FOLDER}/{trial.study.study_name}"
        interrupted = run_before(trial)
        resume = ["--ckpt_path", str(interrupted.path)] if interrupted else []
        launch = Launch()
        super().__init__(["fit", *QUIET, *fit, *flags(values), *resume], launch, Ranks(launch))

    @property
    def late_signal(self) -> int:
        """The number of a signal that came too late to stop this trial, but stops the sweep; or 0."""
        savers = (saver for saver in self.trainer.checkpoint_callbacks if isinstance(saver, Checkpoints))
        return next((saver.signals.received for saver in savers), 0)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Share the earlier trial's data first."""
        if self.data:
            self.datamodule.share(self.data)
        return super().instantiate_trainer(**kwargs)

    def training_settings(self, trainer_args: Any, run: Run) -> dict[str, Any]:
        """Record the trial in its run, and report each epoch to Optuna."""
        settings = super().training_settings(trainer_args, run)
        token = uuid.uuid4().hex  # on another machine this folder may belong to another trial
        note = {"study": self.trial.study.study_name, "trial": self.trial.number, "token": token}
        write_atomic(run.path / NOTE, json.dumps(note).encode())
        self.trial.set_user_attr("run", str(run.path))
        self.trial.set_user_attr("token", token)
        callbacks = settings["callbacks"]
        history = next(callback for callback in callbacks if isinstance(callback, History))
        history.swept = self.swept.keys()
        self.progress = Progress(self.trial, history)
        callbacks.insert(callbacks.index(history) + 1, self.progress)
        return settings


def run_before(trial: Trial) -> Run | None:
    """Return the run of a worker that was killed or stopped, if the run can be resumed here."""
    run = Run(Path(str(trial.user_attrs.get("run", ""))))
    try:
        token = read_object(run.path / NOTE, token=str)["token"]
        if token != trial.user_attrs.get("token") or not run.last.exists():
            return None
        run.lock()  # the worker may only have been slow
    except (OSError, ValueError):  # no run, or another process has its lock
        return None
    run.unlock()
    return run


class Progress(Callback):
    """Reports each epoch's ``checkpoints.monitor`` to Optuna, and ends training when the pruner gives up the trial."""

    def __init__(self, trial: Trial, history: History) -> None:
        self.trial = trial
        self.history = history
        self.is_pruned = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epochs that a killed worker has trained."""
        for record in self.history.epochs:
            self._report(record)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epoch; a pruned run ends like any other, with all its files."""
        if not trainer.is_last_batch:  # max_steps or max_time ended it
            return
        self._report(self.history.epochs[-1])
        is_last = trainer.current_epoch + 1 == trainer.max_epochs
        if not is_last and self.trial.should_prune():
            self.is_pruned = trainer.should_stop = True

    def best(self) -> float:
        """Return the best epoch's value of ``checkpoints.monitor``."""
        if (best := self.history.best()) is None:
            raise UsageError(f"nothing was validated, so there is no {self.history.monitor.name} to compare.")
        return best[self.history.monitor.name]

    def _report(self, record: dict[str, float]) -> None:
        if (name := self.history.monitor.name) in record:
            self.trial.report(record[name], int(record["epoch"]))
