"""LightningCLI for fit, validate and test, with run folders, and checkpoints that know what made them."""

import logging
import re
import shlex
from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from src.callbacks.checkpoint_io import AtomicCheckpointIO
from src.cli.flags import add_flags, add_seed
from src.cli.messages import NO_CHECKPOINT, explain, explain_parser_message, explain_trainer_message
from src.cli.parser import Parser, ParserError
from src.cli.refusals import (
    refuse_conflicts,
    refuse_forgotten,
    refuse_impossible,
    refuse_settings,
    refuse_with_several_steps,
)
from src.cli.teacher import distillation, find_teacher, refuse_other_pixels
from src.cli.trainer import OneBatchTrainer, evaluation_settings, open_trackers, training_settings
from src.common.errors import UsageError
from src.common.files import link_atomic, sha256, write_atomic
from src.data.datamodule import MNISTDataModule
from src.inspection.callback import Inspection
from src.launch.job import Job
from src.launch.launcher import Launch, as_list
from src.launch.ranks import Ranks
from src.model.classifier import Classifier
from src.runs.checkpoint import Checkpoint
from src.runs.folder import RUNS_FOLDER, Run, find_checkpoint
from src.runs.recipe import dotted, plain
from src.runs.trained import Trained

DESCRIPTION = """Train, evaluate and use an MLP on MNIST. Beside the subcommands below there are
predict (reads pictures of digits), export (writes a network as ONNX or torch.export program),
serve (a page to draw digits on), sweep (compares many fits) and data (describes a data set and draws samples
of it), each with its own --help.
With MNIST_TRACEBACK=1 in the environment an error shows its full traceback."""
for name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(name).setLevel(logging.WARNING)  # hardware found, seed set, tips: nothing to act on
TRAINER_DEFAULTS = {
    "max_epochs": 10,
    "enable_model_summary": False,  # the console shows the network with exact counts
    "num_sanity_val_steps": 0,  # data and model are checked before; two batches would only cost start-up time
}


class FitParser(Parser, LightningArgumentParser):
    """Lightning's parser with messages for people."""


class CLI(LightningCLI):
    """LightningCLI with run folders, and checkpoints that know the request they came from.

    A checkpoint's own settings take the place of the defaults, so that config files and flags still win over them.
    """

    runs_folder = RUNS_FOLDER  # where a new run gets its folder

    def __init__(self, words: list[str], launch: Launch, ranks: Ranks) -> None:
        self.words = words
        self.launch = launch
        self.ranks = ranks
        self.job = Job(words)
        self.parsers: list[LightningArgumentParser] = []
        self.checkpoint: Checkpoint | None = None
        self.run: Run | None = None
        self.has_begun = False
        self.teacher: Trained | None = None
        self.command = shlex.join(["python", "-m", "src.cli", *words])
        try:
            self._start()
        finally:
            if self.run is not None:
                self.run.unlock()

    def _start(self) -> None:
        super().__init__(
            Classifier,
            MNISTDataModule,
            save_config_callback=None,
            trainer_class=OneBatchTrainer,
            trainer_defaults=TRAINER_DEFAULTS,
            parser_class=FitParser,
            parser_kwargs={"prog": "python -m src.cli", "allow_abbrev": False, "description": DESCRIPTION},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Name the Trainer's methods on offer, and their arguments that are not flags."""
        evaluation = {"model", "dataloaders", "datamodule", "ckpt_path", "verbose", "weights_only"}
        training = {"model", "train_dataloaders", "val_dataloaders", "datamodule", "ckpt_path", "weights_only"}
        return {"fit": training, "validate": evaluation, "test": evaluation}

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the seed in the place of Lightning's."""
        add_seed(parser)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add our own flags."""
        add_flags(parser)
        self.parsers.append(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the request; with a checkpoint once more, its settings then being the defaults."""
        request = [word for word in self.words if not word.startswith("--print_config")]  # which ends the parsing
        try:
            self.config = parser.parse_args(request)
            if self.config.subcommand == "fit":
                self.request.ckpt_path = self.ranks.from_first("own run", self._own_run) or self.request.ckpt_path
            if self.request.ckpt_path is not None:
                self.checkpoint = self._read_checkpoint()
                self.config = parser.parse_args(request)
                refuse_conflicts(self.request, self.checkpoint, training=self.config.subcommand == "fit")
            if request != self.words:
                parser.parse_args(self.words)
            if self.request.ckpt_path is None and self.config.subcommand != "fit":
                raise UsageError(NO_CHECKPOINT)
            self.request.ckpt_path = None  # Lightning would load the file again and let it win over flags
            refuse_impossible(self.request)
            if self.config.subcommand == "fit":
                refuse_with_several_steps(self.request)
                if self.checkpoint and not self.request.trainer.fast_dev_run:
                    refuse_forgotten(self.request, self.checkpoint, self.words)
                before = self.checkpoint.teacher if self.checkpoint else (None, "")
                self.teacher = find_teacher(self.request, self.root, before)
        except UnicodeDecodeError as error:
            raise UsageError("a config is not UTF-8 text: save it as UTF-8.") from error
        except ParserError as error:
            keys = {key for subparser in self.parsers for key in subparser.get_defaults().keys()}  # noqa: SIM118
            raise UsageError(explain_parser_message(str(error), keys)) from error

    @property
    def root(self) -> Path:
        """The folder that holds ``lightning_logs``."""
        return Path(self.request.trainer.default_root_dir or ".")

    def _own_run(self) -> str:
        """Return the run that this job made before it was restarted, if it has a checkpoint; else nothing."""
        run = self.job.run_made(self.root)
        return str(run.path) if run and run.last.exists() else ""

    def _read_checkpoint(self) -> Checkpoint:
        """Read the checkpoint that is asked for, and make its settings the defaults."""
        training = self.config.subcommand == "fit"
        if training and self.launch.is_first:
            # locked before it is read: another process could go on with it and save in between
            path = find_checkpoint(self.request.ckpt_path, self.root, "last")
            run = Run.of_checkpoint(path)
            if run.continues_from(path):
                run.lock()
                self.run = run
        checkpoint = Checkpoint.find(self.request.ckpt_path, self.root, training)
        refuse_settings(checkpoint)
        checkpoint.network()  # it says what does not fit, before the data is read and the run is made
        try:
            self.parsers[0].parse_object(checkpoint.recipe)
        except ParserError as error:
            raise ParserError(f"{checkpoint.path} has a setting that cannot be used: {error}") from error
        parts = checkpoint.recipe if training else ("model", "data")
        settings = {part: checkpoint.recipe[part] for part in parts if part in checkpoint.recipe}
        for subparser in self.parsers:
            subparser.set_defaults(dotted(settings))
        return checkpoint

    @property
    def request(self) -> Namespace:
        """The parsed arguments of the chosen subcommand."""
        chosen: Namespace = self.config[self.config.subcommand]
        return chosen

    def to_yaml(self) -> str:
        """Return what was asked for as a config, which may stand before or behind a ``--ckpt_path``."""
        request = self.request.clone()
        request.pop("ckpt_path")
        content: str = self.parsers[0].dump(request, skip_unset=False)
        return content

    def instantiate_classes(self) -> None:
        """Make everything; a class of a config that needs a package which is not installed is the user's to mend."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            missing = re.search(r"Requirement '([^']+)' not met", str(error))
            if missing is None:
                raise
            raise UsageError(
                f"a config needs {missing[1]}, which is not installed: pip install '{missing[1]}'"
            ) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Check the data, then make the run folder, and the Trainer with the callbacks that fill it."""
        self.datamodule.prepare_data()
        self.datamodule.setup(self.subcommand)
        if self.subcommand == "validate" and not len(self.datamodule.splits["val"].members):
            raise UsageError("--data.val_size is 0: there is nothing to validate on; name a size, or use test.")
        if self.teacher:
            refuse_other_pixels(self.teacher, self.datamodule)
        asked = self.config_init[self.subcommand].trainer
        kwargs |= self.launch.placement(asked)
        kwargs["plugins"] = [AtomicCheckpointIO(self.checkpoint), *kwargs.get("plugins", as_list(asked.plugins))]
        if asked.fast_dev_run or asked.barebones:
            return self._make_trainer(**kwargs)
        if self.checkpoint is not None and self.subcommand != "fit":
            settings = evaluation_settings(asked, self.checkpoint.path)
            if self.subcommand == "test":
                run = Run.of_checkpoint(self.checkpoint.path)
                settings["callbacks"].append(self._inspection(run, self.checkpoint.path, "test"))
            settings["callbacks"].insert(0, self._watch())
            return self._make_trainer(**settings, **kwargs)
        self.run = self._open_run()
        try:
            settings = self.training_settings(asked, self.run)
            settings["callbacks"].insert(0, self._watch())
            return self._make_trainer(**settings, **kwargs)
        except BaseException:
            self.run.discard()
            raise

    def _watch(self) -> LambdaCallback:
        """Return what notices that the other processes have started, and that the checkpoint is loaded."""

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
        except (MisconfigurationException, ValueError, TypeError) as error:  # how the Trainer refuses an argument
            names = signature(Trainer).parameters
            raise UsageError(explain_trainer_message(str(error), names)) from error

    def _open_run(self) -> Run:
        if not self.launch.is_first:
            return Run(self.root / self.runs_folder)  # only the first rank writes
        run = self.run or self.job.open_run(self.root, self.runs_folder)
        if self.checkpoint and self.checkpoint.is_previous:  # else the damaged one would become the one before
            link_atomic(run.last_prev, run.last)
        self.job.note(run)
        return run

    def training_settings(self, asked: Namespace, run: Run) -> dict[str, Any]:
        """Return the Trainer's arguments that tie it to a run folder."""
        inspection = self._inspection(run, run.best, "val")
        return training_settings(
            self.request, asked, run, self.datamodule, inspection, self.checkpoint.epochs if self.checkpoint else 0
        )

    def _inspection(self, run: Run, checkpoint: Path, split: Literal["val", "test"]) -> Inspection:
        return Inspection(run, checkpoint, self.datamodule, split, self.command, **plain(self.request.inspection))

    def _check_in(self) -> None:
        """Make sure that all processes do the same, as soon as they can talk to each other."""
        # the processes of a machine share its data, but "last" may have become another run meanwhile
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
                write_atomic(self.run.path / "config.yaml", self.to_yaml().encode())
            open_trackers(self.trainer.loggers)
            if self.teacher is not None:
                model.distillation = distillation(self.teacher, self.request)
            self._run_trainer(self.trainer.fit, model, datamodule)
        except (UsageError, MisconfigurationException):
            if self.run is not None:
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
        """Let the Trainer do its work; what it cannot load is the checkpoint's fault, and said in a sentence."""
        path = self.checkpoint.path if self.checkpoint else None
        try:
            run(model, datamodule=datamodule, ckpt_path=path, weights_only=True)
        except Exception as error:
            if path is None or self.has_begun or explain(error):
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UsageError(
                f"{path} cannot be gone on with: {reason}; name one that fit wrote with this code "
                "(MNIST_TRACEBACK=1 shows where it failed)."
            ) from error
