"""LightningCLI for fit, validate and test, with run folders, and checkpoints that know what made them."""

import re
import shlex
import warnings
from inspect import signature
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from src.callbacks.checkpoints import Checkpoints
from src.callbacks.evaluation import EvaluationResult
from src.callbacks.inspection import Inspection
from src.checkpoint.recipe import (
    EPOCH_END,
    MID_EPOCH,
    dotted,
    plain,
    recipe_of,
    refuse_conflicts,
    refuse_with_several_steps,
)
from src.checkpoint.restore import Origin, read_request
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DATASETS, DatasetName
from src.errors import UsageError
from src.files import link_atomic, write_atomic
from src.launch.job import Job
from src.launch.launcher import Launch, as_list
from src.launch.ranks import Ranks, facts_of
from src.model.classifier import Classifier
from src.model.distillation import Distillation
from src.parser import Parser, ParserError, Seed, explain_parser_message, explain_trainer_message, refuse_impossible
from src.runs import RUNS_FOLDER, Run
from src.teacher import distillation, find_teacher, refuse_other_pixels
from src.trained import Trained
from src.trainer import open_trackers, training_settings

DESCRIPTION = """Train, evaluate and use an MLP on MNIST. Beside the subcommands below there are
predict (reads pictures of digits), export (writes a network as ONNX or torch.export program),
serve (a page to draw digits on), sweep (compares many fits) and data (describes a data set and draws samples
of it), each with its own --help.
With MNIST_TRACEBACK=1 in the environment an error shows its full traceback."""
TRAINER_DEFAULTS = {
    "max_epochs": 10,
    "enable_model_summary": False,  # the console shows the network with exact counts
    "num_sanity_val_steps": 0,  # data and model are checked before; two batches would only cost start-up time
}


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
        self.origin: Origin | None = None
        self.run: Run | None = None
        self.teacher: Trained | None = None
        self.command = shlex.join(["python", "-m", "src.cli", *words])
        super().__init__(
            Classifier,
            MNISTDataModule,
            save_config_callback=None,
            trainer_defaults=TRAINER_DEFAULTS,
            parser_class=Parser,
            parser_kwargs={"allow_abbrev": False, "description": DESCRIPTION},
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
        """Add the seed; Lightning's flag also takes booleans, which mean something else than they say."""
        parser.add_argument(
            "--seed_everything",
            type=Seed,
            default=42,
            help="Decides the initial weights, the order of the training images, dropout and distortion.",
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add ``--ckpt_path`` and link the seed to the order of the images."""
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            help="A checkpoint file, a run folder (fit takes its last checkpoint, validate and test its best), or "
            "best or last of the newest run that has one. fit continues the run of a last.ckpt in its folder and "
            "starts a new run from any other checkpoint.",
        )
        parser.add_argument(
            "--ema_decay",
            type=float | None,
            help="Validate and keep, instead of the weights, their moving average over the steps: this share of it "
            "stays at each step, such as 0.9995. Needs --model.steps_per_execution 1.",
        )
        parser.link_arguments("seed_everything", "data.seed")
        # the parser's seed is of a class that a checkpoint must not hold
        parser.link_arguments("seed_everything", "model.seed", compute_fn=int)
        parser.link_arguments("model.steps_per_execution", "data.steps_per_execution")
        parser.link_arguments("data.dataset", "model.num_classes", compute_fn=number_of_classes)
        parser.add_class_arguments(
            Inspection,
            "inspection",
            "TensorBoard beyond curves, after fit and test",
            skip={"run", "checkpoint", "data", "split", "command"},
            instantiate=False,
        )
        parser.add_class_arguments(
            Checkpoints, "checkpoints", "Checkpoints of fit", skip={"run", "config"}, instantiate=False
        )
        parser.add_class_arguments(
            Distillation, "distillation", "A teacher for fit", skip={"network", "sha256", "bf16"}, instantiate=False
        )
        self.parsers.append(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the request; with a checkpoint once more, its settings then being the defaults."""
        request = [word for word in self.words if not word.startswith("--print_config")]  # which ends the parsing
        try:
            self.config = parser.parse_args(request)
            if self.config.subcommand == "fit":
                self.request.ckpt_path = self.ranks.from_first("own run", self._own_run) or self.request.ckpt_path
            if self.request.ckpt_path is not None:
                self.origin = self._read_origin()
                self.config = parser.parse_args(request)
                self._refuse_conflicts(self.origin)
            if request != self.words:
                parser.parse_args(self.words)
            if self.request.ckpt_path is None and self.config.subcommand != "fit":
                raise UsageError("--ckpt_path is missing: give a checkpoint, a run folder, best or last.")
            self.request.ckpt_path = None  # Lightning would load the file again and let it win over flags
            refuse_impossible(self.request)
            if self.config.subcommand == "fit":
                refuse_with_several_steps(self.request)
                before = self.origin.teacher if self.origin else (None, "")
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

    def _read_origin(self) -> Origin:
        """Read the checkpoint that is asked for, and make its settings the defaults."""
        training = self.config.subcommand == "fit"
        origin = read_request(self.request.ckpt_path, self.root, training)
        try:
            self.parsers[0].parse_object(origin.recipe)
        except ParserError as error:
            raise ParserError(f"{origin.path} has a setting that cannot be used: {error}") from error
        settings = origin.recipe if training else {part: origin.recipe[part] for part in ("model", "data")}
        for subparser in self.parsers:
            subparser.set_defaults(dotted(settings))
        return origin

    def _refuse_conflicts(self, origin: Origin) -> None:
        if self.config.subcommand != "fit":
            refuse_conflicts(self.request, origin.recipe, origin.path)
            return
        refuse_conflicts(self.request, origin.recipe, origin.path, MID_EPOCH if origin.is_within_epoch else EPOCH_END)
        max_epochs = self.request.trainer.max_epochs
        branches = not Run.of_checkpoint(origin.path).continues_from(origin.path)
        if max_epochs is not None and 0 <= max_epochs < origin.epochs + branches:
            raise UsageError(
                f"--trainer.max_epochs {max_epochs} leaves nothing to train: {origin.path} has {origin.epochs} epochs; "
                "ask for more."
            )

    @property
    def request(self) -> Namespace:
        """The parsed arguments of the chosen subcommand."""
        chosen: Namespace = self.config[self.config.subcommand]
        return chosen

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
        if asked.fast_dev_run or asked.barebones:
            return self._make_trainer(**kwargs)
        checked_in = LambdaCallback(setup=lambda *_, **__: self._check_in())  # the other processes have started by then
        if self.origin is not None and self.subcommand != "fit":
            checkpoint = self.origin.path
            callbacks: list[Callback] = [checked_in, EvaluationResult(checkpoint), *as_list(asked.callbacks)]
            if self.subcommand == "test":
                callbacks.append(self._inspection(Run.of_checkpoint(checkpoint), checkpoint, "test"))
            warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")  # those of the training
            off: dict[str, Any] = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
            return self._make_trainer(callbacks=callbacks, **off, **kwargs)
        self.run = self._open_run(Path(asked.default_root_dir or "."))
        try:
            settings = self.training_settings(asked, self.run)
            settings["callbacks"].insert(0, checked_in)
            settings["plugins"] += kwargs.pop("plugins", as_list(asked.plugins))
            return self._make_trainer(**settings, **kwargs)
        except BaseException:
            self.run.discard()
            raise

    def _make_trainer(self, **kwargs: Any) -> Trainer:
        try:
            return super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ValueError, TypeError) as error:  # how the Trainer refuses an argument
            names = signature(Trainer).parameters
            raise UsageError(explain_trainer_message(str(error), names)) from error

    def _open_run(self, root: Path) -> Run:
        if not self.launch.is_first:
            return Run(root / self.runs_folder)  # only the first rank writes
        run = Run.of_checkpoint(self.origin.path) if self.origin else None
        if run is None or self.origin is None or not run.continues_from(self.origin.path):
            run = self.job.run_made(root)  # it died before its first checkpoint
        if run is None:
            run = Run.create(root, self.runs_folder)
        else:
            run.lock()
            if self.origin and self.origin.is_one_before:  # else the damaged one would become the one before
                link_atomic(run.last_prev, run.last)
        self.job.note(run)
        return run

    def training_settings(self, asked: Namespace, run: Run) -> dict[str, Any]:
        """Return the Trainer's arguments that tie it to a run folder."""
        inspection = self._inspection(run, run.best, "val")
        return training_settings(
            self.request, asked, run, self.datamodule, inspection, self.origin.epochs if self.origin else 0
        )

    def _inspection(self, run: Run, checkpoint: Path, split: Literal["val", "test"]) -> Inspection:
        return Inspection(run, checkpoint, self.datamodule, split, self.command, **plain(self.request.inspection))

    def _check_in(self) -> None:
        """Make sure that all processes do the same, as soon as they can talk to each other."""
        # the processes of a machine share its data, but "last" may have become another run meanwhile
        files = [
            *([self.origin.path] if self.origin else []),
            *([self.teacher.checkpoint] if self.teacher else []),
            *([] if self.launch.local_rank else self.datamodule.files),
        ]
        run = self.run.path if self.run is not None and self.launch.is_first else None
        self.ranks.check_in(lambda: facts_of(recipe_of(self.request), files), run)

    @property
    def ckpt_path(self) -> Path | None:
        """What Lightning loads."""
        return self.origin.path if self.origin else None

    def fit(self, model: Classifier, datamodule: MNISTDataModule) -> None:
        """Train."""
        try:
            self._check_in()
            if self.run is not None and self.launch.is_first:
                content = self.parsers[0].dump(self.request, skip_unset=False)
                write_atomic(self.run.path / "config.yaml", content.encode())
            open_trackers(self.trainer.loggers)
            if self.teacher is not None:
                model.distillation = distillation(self.teacher, self.request)
            self.trainer.fit(model, datamodule=datamodule, ckpt_path=self.ckpt_path, weights_only=True)
        except (UsageError, MisconfigurationException):
            if self.run is not None:
                self.run.discard()
            raise
        finally:
            if self.run is not None:
                self.run.unlock()

    def validate(self, model: Classifier, datamodule: MNISTDataModule) -> None:
        """Evaluate a checkpoint on the validation split."""
        self._check_in()
        self.trainer.validate(model, datamodule, ckpt_path=self.ckpt_path, verbose=False, weights_only=True)

    def test(self, model: Classifier, datamodule: MNISTDataModule) -> None:
        """Evaluate a checkpoint on the official test images."""
        self._check_in()
        self.trainer.test(model, datamodule, ckpt_path=self.ckpt_path, verbose=False, weights_only=True)


def number_of_classes(dataset: DatasetName) -> int:
    """Return what the network's output size is linked to."""
    return len(DATASETS[dataset].classes)
