"""LightningCLI for fit, validate and test: it opens the run folder, makes the Trainer and runs it."""

import re
from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LambdaCallback

from src.callbacks.checkpoint_io import AtomicCheckpointIO
from src.callbacks.console import short
from src.callbacks.monitor import Monitor
from src.cli.callbacks import explain_failure
from src.cli.classes import refuse_classes
from src.cli.inspection import inspection
from src.cli.optimizer import give_optimizer, refuse_optimizer
from src.cli.request import Request
from src.cli.resume import refuse_other_images
from src.cli.teacher import distillation, refuse_other_pixels
from src.cli.trackers import open_trackers, resumed_trackers
from src.cli.trainer import evaluation_settings, explain_trainer_message, training_settings
from src.common.errors import UsageError
from src.common.files import link_atomic, sha256, write_atomic
from src.common.output import say
from src.data.datamodule import MNISTDataModule
from src.launch.launcher import as_list
from src.model.classifier import Classifier
from src.runs.folder import RUNS_FOLDER, Run

TRACES = "*.pt.trace.json"  # files of Lightning's PyTorchProfiler


class CLI(Request):
    """Trains or evaluates in run folders.

    Attributes:
        has_begun: Whether the first batch is done, and so the checkpoint, if any, loaded.
    """

    runs_folder = RUNS_FOLDER  # the parent of a new run's folder
    has_begun = False

    def instantiate_classes(self) -> None:
        """Make all objects; raise UsageError for a class that needs a missing package."""
        try:
            continued = self.run if self.launch.is_first else None
            with resumed_trackers(self.request.trainer.logger, continued):
                super().instantiate_classes()
        except (ValueError, ModuleNotFoundError) as error:
            missing = re.search(r"Requirement '([^']+)' not met|pip install (?:-U )?(\w[\w.-]*)", str(error))
            if missing is None:
                raise
            name = missing[1] or missing[2]
            raise UsageError(f'a config needs {name}, which is not installed: pip install "{name}"') from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Check the data and the user's classes, then make the run folder and the Trainer whose callbacks fill it."""
        self.datamodule.prepare_data()
        self.datamodule.setup(self.subcommand)
        if self.subcommand == "validate" and not len(self.datamodule.splits["val"].members):
            raise UsageError("--data.val_size is 0: there is nothing to validate on; name a size, or use test.")
        if self.teacher:
            refuse_other_pixels(self.teacher, self.datamodule)
        if self.checkpoint:
            refuse_other_images(self.checkpoint, self.datamodule)
        refuse_classes(self.request, self.model, self.datamodule)
        if self.subcommand == "fit":
            refuse_optimizer(self.request, self.config_init.fit)
            give_optimizer(self.model, self.config_init.fit)
            Monitor.of(self.request).refuse(self.model.val_metrics)
        trainer_args = self.config_init[self.subcommand].trainer
        kwargs |= self.launch.placement(trainer_args)
        kwargs["plugins"] = [AtomicCheckpointIO(self.checkpoint), *kwargs.get("plugins", as_list(trainer_args.plugins))]
        if trainer_args.fast_dev_run or trainer_args.barebones:
            return self._make_trainer(**kwargs)
        if self.checkpoint is not None and self.subcommand != "fit":
            settings = evaluation_settings(trainer_args, self.checkpoint.path)
            if self.subcommand == "test":
                run = Run.of_checkpoint(self.checkpoint.path)
                settings["callbacks"] += self.callbacks(run, self.checkpoint.path, "test")
            settings["callbacks"].insert(0, self._watch())
            return self._make_trainer(**settings, **kwargs)
        self.run = self._open_run()
        try:
            settings = self.training_settings(trainer_args, self.run)
            settings["callbacks"].insert(0, self._watch())
            return self._make_trainer(**settings, **kwargs)
        except BaseException:
            self.run.discard()
            raise

    def _watch(self) -> LambdaCallback:
        """Return a callback that checks in once all processes have started, and notes that a batch is done."""

        def begin(*_: Any) -> None:
            self.has_begun = True

        return LambdaCallback(
            setup=lambda *_, **__: self._check_in(),
            on_train_batch_end=begin,
            on_validation_batch_end=begin,
            on_test_batch_end=begin,
        )

    def _make_trainer(self, **kwargs: Any) -> Trainer:
        try:
            return super().instantiate_trainer(**kwargs)
        except Exception as error:  # the Trainer refuses arguments with many types
            names = signature(Trainer).parameters
            raise UsageError(explain_trainer_message(str(error), names)) from error

    def _open_run(self) -> Run:
        if not self.launch.is_first:
            return Run(self.root / self.runs_folder)  # only the first rank writes
        run = self.run or self.job.open_run(self.root, self.runs_folder)
        if self.checkpoint and self.checkpoint.is_previous:  # else the next save would keep the damaged last.ckpt
            link_atomic(run.last_prev, run.last)
        self.job.note(run)
        return run

    def training_settings(self, trainer_args: Namespace, run: Run) -> dict[str, Any]:
        """Return the Trainer's arguments that tie it to a run folder."""
        epochs_done = self.checkpoint.epochs if self.checkpoint else 0
        settings = training_settings(self.request, trainer_args, run, self.datamodule, epochs_done)
        # before the history, so that an epoch's seconds do not include drawing
        settings["callbacks"][:0] = self.callbacks(run, run.best, "val")
        return settings

    def callbacks(self, run: Run, checkpoint: Path, split: Literal["val", "test"]) -> list[Callback]:
        """Return the callbacks that fit and test share."""
        return [
            inspection(self.request, run, checkpoint, self.datamodule, split, self.command),
        ]

    def _check_in(self) -> None:
        """Make sure that all processes have the same data and checkpoints, as soon as they can communicate."""
        # the processes of a machine share its data, but "last" may have become another run in between
        files = () if self.launch.local_rank else self.datamodule.files
        read = {"--ckpt_path": self.checkpoint, "--distillation.teacher": self.teacher}
        digests = {name: checkpoint.sha256 for name, checkpoint in read.items() if checkpoint}
        run = self.run.path if self.run is not None and self.launch.is_first else None
        self.ranks.check_in(lambda: digests | {path.name: sha256(path) for path in files}, run)

    def fit(self, model: Classifier, datamodule: MNISTDataModule) -> None:
        """Train."""
        try:
            self._check_in()
            if self.run is not None and self.launch.is_first:
                config, path = self.to_yaml().encode(), self.run.path / "config.yaml"
                if not (path.is_file() and path.read_bytes() == config):  # `runs` shows the file's date
                    write_atomic(path, config)
            epochs_done = self.checkpoint.epochs if self.checkpoint else 0
            open_trackers(self.trainer.loggers, self.run if self.launch.is_first else None, epochs_done)
            if self.teacher is not None:
                model.distillation = distillation(self.teacher, self.request)
            self._run_trainer(self.trainer.fit, model, datamodule)
            if self.run is None and self.launch.is_first:  # fast_dev_run and barebones have no console
                metrics = (f"{short(name)}: {value:.4f}" for name, value in self.trainer.callback_metrics.items())
                say(" - ".join([*metrics, "no run folder was made"]))
            if self.run is not None and any(self.run.path.glob(TRACES)):
                say(f"Traces of the profiler, for ui.perfetto.dev:  {self.run.path / TRACES}")
        except BaseException as error:
            is_refused = not self.has_begun or isinstance(error, UsageError | MisconfigurationException)
            if self.run is not None and is_refused:
                self.run.discard()
            raise

    def validate(self, model: Classifier, datamodule: MNISTDataModule) -> None:
        """Evaluate a checkpoint on the validation split."""
        self._check_in()
        self._run_trainer(partial(self.trainer.validate, verbose=False), model, datamodule)

    def test(self, model: Classifier, datamodule: MNISTDataModule) -> None:
        """Evaluate a checkpoint on the official test images."""
        self._check_in()
        self._run_trainer(partial(self.trainer.test, verbose=False), model, datamodule)

    def _run_trainer(self, run: Callable[..., Any], model: Classifier, datamodule: MNISTDataModule) -> None:
        """Call a method of the Trainer, and explain an error that a callback or the checkpoint caused."""
        path = self.checkpoint.path if self.checkpoint else None
        configure_callbacks, strategy = model.configure_callbacks, self.trainer.strategy

        def meet() -> Any:
            self.ranks.join(getattr(strategy, "cluster_environment", None), getattr(strategy.launcher, "procs", ()))
            return configure_callbacks()

        model.configure_callbacks = meet  # type: ignore[method-assign] # Lightning calls it first in every process
        try:
            run(model, datamodule=datamodule, ckpt_path=path, weights_only=True)
        except Exception as error:
            callbacks = as_list(self.config_init[self.subcommand].trainer.callbacks)
            explain_failure(error, callbacks, path, self.has_begun)
            raise
