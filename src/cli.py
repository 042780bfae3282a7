"""The command line: ``python -m src.cli fit | validate | test | predict | export | serve | sweep | data``."""

# ruff: noqa: E402
import argparse
import atexit
import gc
import os

exit_code = 1  # of a process that ends by an exception
if __name__ == "__main__":
    atexit.register(lambda: leave())  # first here, so the last to be called
gc.disable()  # the imports make 700,000 objects and no garbage, and looking for it takes a fifth of their time

import logging
import re
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Iterable, Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Literal, NoReturn

import docstring_parser
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, LambdaCallback, WeightAveraging
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from src.agreement import Ranks, facts_of
from src.callbacks.checkpoints import AtomicCheckpointIO, Checkpoints
from src.callbacks.console import Console, flush, say
from src.callbacks.curves import Curves
from src.callbacks.evaluation import EvaluationResult
from src.callbacks.history import History
from src.callbacks.inspection import Inspection
from src.callbacks.signals import StoppedError
from src.data.checks import sha256
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DATASETS, DatasetName
from src.data.report import report
from src.devices import Launch, as_list
from src.errors import UsageError, explain, one_line
from src.files import link_atomic, write_atomic
from src.model.classifier import Classifier
from src.model.distillation import Distillation
from src.parser import Parser, ParserError, Seed, explain_parser_message, explain_trainer_message, refuse_impossible
from src.recipe import EPOCH_END, MID_EPOCH, dotted, plain, recipe_of, refuse_conflicts, refuse_with_several_steps
from src.restart import Job
from src.restore import read_request
from src.runs import RUNS_FOLDER, Run
from src.trained import Trained

if __name__ == "__main__":
    gc.freeze()  # what was imported never becomes garbage; no later look has to go through it
gc.enable()

DESCRIPTION = """Train, evaluate and use an MLP on MNIST. Beside the subcommands below there are
predict (reads pictures of digits), export (writes a network as ONNX or torch.export program),
serve (a page to draw digits on), sweep (compares many fits) and data (describes a data set and draws samples
of it), each with its own --help.
With MNIST_TRACEBACK=1 in the environment an error shows its full traceback."""
FUNCTIONS = ("predict", "export", "serve", "sweep")  # src/NAME.py has a function NAME, whose arguments are the flags
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
        self.checkpoint: Path | None = None
        self.epochs_done = 0
        self.last_is_damaged = False
        self.run: Run | None = None
        self.teacher: Trained | None = None
        self.taught_by: tuple[str | None, str] = None, ""  # the checkpoint's teacher
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
                saved, goes_on = self._read_checkpoint()
                self.config = parser.parse_args(request)
                assert self.checkpoint is not None
                refuse_conflicts(self.request, saved, self.checkpoint, goes_on)
                self._refuse_fewer_epochs()
            if request != self.words:
                parser.parse_args(self.words)
            if self.request.ckpt_path is None and self.config.subcommand != "fit":
                raise UsageError("--ckpt_path is missing: give a checkpoint, a run folder, best or last.")
            self.request.ckpt_path = None  # Lightning would load the file again and let it win over flags
            refuse_impossible(self.request)
            if self.config.subcommand == "fit":
                refuse_with_several_steps(self.request)
                self._find_teacher()
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

    def _read_checkpoint(self) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Find the checkpoint asked for and make its settings the defaults; return them and which must stay."""
        training = self.config.subcommand == "fit"
        asked = self.request.ckpt_path
        self.checkpoint, checkpoint = read_request(asked, self.root, training)
        self.last_is_damaged = self.checkpoint.name == "last.prev.ckpt" and self.checkpoint != Path(asked)
        saved: dict[str, Any] = checkpoint["config"]
        if training:
            self.epochs_done = len(checkpoint["callbacks"]["History"]["epochs"])
            self.taught_by = saved["distillation"]["teacher"], checkpoint["teacher_sha256"]
        try:
            self.parsers[0].parse_object(saved)
        except ParserError as error:
            raise ParserError(f"{self.checkpoint} has a setting that cannot be used: {error}") from error
        for subparser in self.parsers:
            subparser.set_defaults(dotted(saved if training else {part: saved[part] for part in ("model", "data")}))
        goes_on = () if not training else EPOCH_END if self.epochs_done > checkpoint["epoch"] else MID_EPOCH
        return saved, goes_on

    def _find_teacher(self) -> None:
        """Load the teacher, if there shall be one, and note its file in the request."""
        asked = self.request.distillation
        if asked.teacher is None:
            for name in ("temperature", "weight"):
                default = signature(Distillation).parameters[name].default
                if asked[name] != default and self.taught_by[0] is None:
                    raise UsageError(f"--distillation.{name} needs a teacher: give --distillation.teacher too.")
                asked[name] = default  # the checkpoint had a teacher, and now there shall be none
            return
        if asked.teacher in ("best", "last"):
            raise UsageError(
                f"--distillation.teacher {asked.teacher}: name its file or its run folder; "
                "the newest run is soon the student's own."
            )
        try:
            self.teacher = Trained.load(asked.teacher, self.root)
        except UsageError as error:
            raise UsageError(str(error).replace("--ckpt_path", "--distillation.teacher")) from error
        if self.teacher.classes != DATASETS[self.request.data.dataset].classes:
            self._refuse_teacher("dataset")
        asked.teacher = str(self.teacher.checkpoint)
        path, digest = self.taught_by
        if path == asked.teacher and digest != sha256(self.teacher.checkpoint):
            raise UsageError(
                f"--distillation.teacher {path} has changed since {self.checkpoint} was written: name a copy of the "
                "teacher as it was, or start a new run."
            )

    def _refuse_teacher(self, name: str) -> NoReturn:
        assert self.teacher is not None
        raise UsageError(
            f"--distillation.teacher {self.teacher.checkpoint} was trained with --data.{name} "
            f"{self.teacher.content['config']['data'][name]}: "
            "train the student with the same, or name another teacher."
        )

    def _refuse_fewer_epochs(self) -> None:
        max_epochs = self.request.trainer.max_epochs
        if self.config.subcommand != "fit" or self.checkpoint is None or max_epochs is None or max_epochs < 0:
            return
        branches = not Run.of_checkpoint(self.checkpoint).continues_from(self.checkpoint)
        if max_epochs < self.epochs_done or (branches and max_epochs == self.epochs_done):
            raise UsageError(
                f"--trainer.max_epochs {max_epochs} leaves nothing to train: {self.checkpoint} has "
                f"{self.epochs_done} epochs; ask for more."
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
        if self.teacher and self.teacher.content["MNISTDataModule"]["mean_std"] != plain(self.datamodule.mean_std):
            self._refuse_teacher("normalization")
        asked = self.config_init[self.subcommand].trainer
        kwargs |= self.launch.placement(asked)
        if asked.fast_dev_run or asked.barebones:
            return self._make_trainer(**kwargs)
        checked_in = LambdaCallback(
            setup=lambda *_, **__: self._check_in()
        )  # where Lightning starts the other processes
        if self.checkpoint is not None and self.subcommand != "fit":
            callbacks: list[Callback] = [checked_in, EvaluationResult(self.checkpoint), *as_list(asked.callbacks)]
            if self.subcommand == "test":
                callbacks.append(self._inspection(Run.of_checkpoint(self.checkpoint), self.checkpoint, "test"))
            warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")  # those of the training
            off: dict[str, Any] = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
            return self._make_trainer(callbacks=callbacks, **off, **kwargs)
        self.run = self._open_run(Path(asked.default_root_dir or "."))
        try:
            settings = self._fit_settings(asked, self.run)
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
        run = None if self.checkpoint is None else Run.of_checkpoint(self.checkpoint)
        if run is None or self.checkpoint is None or not run.continues_from(self.checkpoint):
            run = self.job.run_made(root)  # it died before its first checkpoint
        if run is None:
            run = Run.create(root, self.runs_folder)
        else:
            run.lock()
            if self.last_is_damaged:  # else it would become the one before
                link_atomic(run.last_prev, run.last)
        self.job.note(run)
        return run

    def _fit_settings(self, asked: Namespace, run: Run) -> dict[str, Any]:
        """Return the Trainer's arguments that tie it to a run folder."""
        config = recipe_of(self.request)
        history = History(run, config, self.datamodule)
        # before the history: what it takes to draw is no part of an epoch's seconds
        inspection = self._inspection(run, run.best, "val")
        callbacks: list[Callback] = [inspection, history, *as_list(asked.callbacks)]
        if self.request.ema_decay is not None:  # before all that may save a checkpoint after a step
            callbacks.insert(0, EMAWeightAveraging(decay=self.request.ema_decay))
        if self.request.model.steps_per_execution > 1 and any(isinstance(each, WeightAveraging) for each in callbacks):
            flag = "--trainer.callbacks" if self.request.ema_decay is None else "--ema_decay"
            raise UsageError(f"{flag}: averaging weights after every step needs --model.steps_per_execution 1.")
        if asked.enable_progress_bar is not False:
            callbacks.append(Console(run, history))
        if asked.enable_checkpointing is not False:
            callbacks.append(Checkpoints(run, config, **plain(self.request.checkpoints)))
        batches = self._batches(asked)
        if asked.check_val_every_n_epoch and (asked.val_check_interval or 0) > max(batches, 1):
            raise UsageError(
                f"--trainer.val_check_interval {asked.val_check_interval} is above the {batches} batches of an epoch."
            )
        curves = Curves(run.path, first_step=self.epochs_done + 1)
        # Lightning's own for the folder of runs, as in configs/tensorboard.yaml, stands for ours
        loggers = [curves if _is_for_runs(each) else each for each in as_list(asked.logger)]
        logger = curves if asked.logger in (None, True) else asked.logger and list(dict.fromkeys(loggers))
        settings = {
            "callbacks": callbacks,
            "logger": logger,
            "plugins": [AtomicCheckpointIO()],
            "log_every_n_steps": min(asked.log_every_n_steps or 50, batches),
        }
        return settings if len(self.datamodule.splits["val"].members) else {**settings, "limit_val_batches": 0}

    def _batches(self, asked: Namespace) -> int:
        """Return the batches of an epoch, as the Trainer will limit them."""
        batches = len(self.datamodule.train_dataloader())
        limit = asked.overfit_batches or asked.limit_train_batches
        if limit is None or not limit >= 0:  # the Trainer refuses what is no number, too
            return batches
        return int(min(batches, limit if limit > 1 or isinstance(limit, int) else batches * limit))

    def _inspection(self, run: Run, checkpoint: Path, split: Literal["val", "test"]) -> Inspection:
        return Inspection(run, checkpoint, self.datamodule, split, self.command, **plain(self.request.inspection))

    def _check_in(self) -> None:
        """Make sure that all processes do the same, as soon as they can talk to each other."""
        # the processes of a machine share its data, but "last" may have become another run meanwhile
        files = [
            *([self.checkpoint] if self.checkpoint else []),
            *([self.teacher.checkpoint] if self.teacher else []),
            *([] if self.launch.local_rank else self.datamodule.files),
        ]
        run = self.run.path if self.run is not None and self.launch.is_first else None
        self.ranks.check_in(lambda: facts_of(recipe_of(self.request), files), run)

    def fit(self, model: Classifier, datamodule: MNISTDataModule) -> None:
        """Train."""
        try:
            self._check_in()
            if self.run is not None and self.launch.is_first:
                content = self.parsers[0].dump(self.request, skip_unset=False)
                write_atomic(self.run.path / "config.yaml", content.encode())
            self._open_trackers()
            if self.teacher is not None:
                model.distillation = Distillation(
                    self.teacher.network.network,
                    sha256(self.teacher.checkpoint),
                    bf16=self.teacher.content["config"]["trainer"]["precision"] == "bf16-mixed",
                    **plain(self.request.distillation),
                )
            self.trainer.fit(model, datamodule=datamodule, ckpt_path=self.checkpoint, weights_only=True)
        except (UsageError, MisconfigurationException):
            if self.run is not None:
                self.run.discard()
            raise
        finally:
            if self.run is not None:
                self.run.unlock()

    def _open_trackers(self) -> None:
        """Make sure that trackers can be reached, before anything is trained."""
        loggers: list[Any] = self.trainer.loggers
        for logger in loggers:
            try:
                _ = None if isinstance(logger, Curves) else logger.experiment
            except Exception as error:  # each tracker has its own
                reason = one_line(" ".join(str(error).split()))
                raise UsageError(f"--trainer.logger: {type(logger).__name__} cannot be used: {reason}") from error

    def validate(self, model: Classifier, datamodule: MNISTDataModule) -> None:
        """Evaluate a checkpoint on the validation split."""
        self._check_in()
        self.trainer.validate(model, datamodule, ckpt_path=self.checkpoint, verbose=False, weights_only=True)

    def test(self, model: Classifier, datamodule: MNISTDataModule) -> None:
        """Evaluate a checkpoint on the official test images."""
        self._check_in()
        self.trainer.test(model, datamodule, ckpt_path=self.checkpoint, verbose=False, weights_only=True)


def look_at_data(args: Sequence[str]) -> None:
    """Run ``data``: print sizes, class counts, statistics and files of a data set, and draw samples of it."""
    parser = Parser(prog="cli.py data", description="Describe a data set and draw samples of it.", allow_abbrev=False)
    parser.add_class_arguments(MNISTDataModule, "data")
    parser.add_argument("--output", type=str, default="data.png", help="The PNG file for ten samples of each class.")
    try:
        request = parser.instantiate(parser.parse_args(args))
    except ParserError as error:
        raise UsageError(explain_parser_message(str(error), list(parser.get_defaults().keys()))) from error
    say(report(request.data, Path(request.output)))


def call(name: str, args: Sequence[str]) -> int:
    """Run one of ``FUNCTIONS``: its arguments are the flags, its docstring the help, its result the exit code."""
    function = getattr(import_module(f"src.{name}"), name)
    lists = [each.name for each in signature(function).parameters.values() if each.annotation == list[str]]
    described = docstring_parser.parse(function.__doc__ or "")
    parser = Parser(prog=f"cli.py {name}", description=described.short_description or "", allow_abbrev=False)
    parser.add_function_arguments(function, as_group=False, skip=set(lists))
    others: dict[str, list[str]] = {}
    if "fit" in lists:
        lists.remove("fit")
        args, others["fit"] = split_words(args, parser.get_defaults().keys())
    for flag in described.params:
        if flag.arg_name in lists:  # several words, which a shell makes of a pattern
            parser.add_argument(f"--{flag.arg_name}", type=str, nargs="+", required=True, help=flag.description)
    try:
        request = parser.parse_args(args)
    except ParserError as error:
        raise UsageError(explain_parser_message(str(error), list(parser.get_defaults().keys()))) from error
    exit_code: int = function(**vars(request), **others)
    return exit_code


def split_words(words: Sequence[str], own: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return a function's own flags with their values, and all other words, which are for ``fit``.

    Args:
        words: The words of a request.
        own: The names of the function's flags.
    """
    if "--help" in words or "-h" in words:
        return ["--help"], []
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in own:
        parser.add_argument(f"--{name}")
    try:
        chosen, others = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise UsageError(f"{error.argument_name}: {error.message}.") from error
    return [f"--{name}={value}" for name, value in vars(chosen).items() if value is not None], others


def _is_for_runs(logger: Any) -> bool:
    return type(logger) is TensorBoardLogger and Path(logger.save_dir) == Path(RUNS_FOLDER)


def number_of_classes(dataset: DatasetName) -> int:
    """Return what the network's output size is linked to."""
    return len(DATASETS[dataset].classes)


def main(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: The words after ``python -m src.cli``; left out, those of this process.

    Returns:
        The exit code: 0, 2 for a request that cannot be met, 1 for a failure while running, 130 after Ctrl-C and 143
        after SIGTERM.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # hardware found, seed set, tips: nothing to act on
    # torch 2.12 deprecated what Lightning 2.6 asks it for every batch
    warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
    sys.stdout, sys.stderr = (stream or Path(os.devnull).open("w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    ranks = Ranks(launch := Launch())
    if not launch.is_first:
        logging.getLogger("src").setLevel(logging.ERROR)  # the first one warns
    try:
        words = list(sys.argv[1:] if args is None else args)
        if words[:1] == ["data"]:
            look_at_data(words[1:])
        elif words and words[0] in FUNCTIONS:
            return call(words[0], words[1:])
        else:
            ranks.join()
            CLI(words, launch, ranks)
    except KeyboardInterrupt:  # outside of training, where there is nothing to save
        return StoppedError(signal.SIGINT, "").exit_code
    except StoppedError as stopped:
        ranks.speak(str(stopped))
        return stopped.exit_code
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        if os.environ.get("MNIST_TRACEBACK"):
            traceback.print_exc()
        ranks.speak(f"error: {told[0]}")
        return told[1]
    finally:
        ranks.leave()
        flush()
    return 0


def leave() -> None:
    """End this process without freeing its objects one by one, which would take another second."""
    flush()
    os._exit(exit_code)


if __name__ == "__main__":
    try:
        exit_code = main()
    except SystemExit as end:  # --help
        exit_code = int(end.code or 0)
    sys.exit(exit_code)
