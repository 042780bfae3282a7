"""The parsed request of fit, validate and test, with a checkpoint's settings as the defaults."""

import logging
import re
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from src.cli.classes import sum_losses
from src.cli.commands import EVERY
from src.cli.flags import add_flags
from src.cli.messages import NO_CHECKPOINT, explain_parser_message
from src.cli.parser import Parser, ParserError, Seed
from src.cli.refusals import refuse_impossible, refuse_variables, refuse_with_several_steps
from src.cli.resume import refuse_conflicts, refuse_forgotten, settings_of
from src.cli.teacher import find_teacher
from src.cli.trainer import OneBatchTrainer
from src.common.errors import UsageError
from src.common.system import command_line
from src.data.datamodule import MNISTDataModule
from src.launch.job import Job
from src.launch.launcher import Launch
from src.launch.ranks import Ranks
from src.model.classifier import Classifier
from src.runs.checkpoint import Checkpoint
from src.runs.folder import Run, find_checkpoint
from src.runs.recipe import dotted
from src.runs.trained import Trained, network_of

# keep Lightning's INFO lines of callbacks and profilers, which the user asked for; drop lines that nobody acts on
# (hardware found, seed set, tips, averaged weights loaded)
SPEAKERS = re.compile(r"[\\/](callbacks|profilers)[\\/](?!weight_averaging)")
for name in ("lightning.pytorch", "lightning.fabric"):
    for handler in logging.getLogger(name).handlers:
        handler.addFilter(lambda record: record.levelno > logging.INFO or bool(SPEAKERS.search(record.pathname)))
DESCRIPTION = (
    "Train, evaluate and use an MLP on MNIST. With MNIST_TRACEBACK=1 in the environment an error shows its full "
    "traceback."
)
TRAINER_DEFAULTS = {
    "max_epochs": 10,
    "enable_model_summary": False,  # the console shows the network with exact counts
    "num_sanity_val_steps": 0,  # data and model are checked before; two batches would only cost start-up time
}


class FitParser(Parser, LightningArgumentParser):
    """Lightning's parser with errors of one sentence, and a help that lists the commands without Lightning too."""

    def format_help(self, *formatter: Any) -> str:
        """Return the help with a line for each command."""
        text, mark, _ = super().format_help(*formatter).partition("  Available subcommands:\n")
        lines = [f"    {name:10}{meaning}\n" for name, meaning in EVERY.items()] if mark else []
        return "".join([text.replace("{fit,validate,test}", "COMMAND"), mark, *lines])


class Request(LightningCLI):
    """LightningCLI up to the parsed request, with the checkpoint read and the teacher loaded.

    A checkpoint's settings replace the defaults, so config files and flags still win over them.

    Attributes:
        checkpoint: The checkpoint to resume or to evaluate, if any.
        run: The run to resume, locked, if any.
        teacher: The network to learn from, if any.
    """

    def __init__(self, words: list[str], launch: Launch, ranks: Ranks) -> None:
        self.words = words
        self.launch = launch
        self.ranks = ranks
        self.job = Job(words)
        self.parsers: list[LightningArgumentParser] = []
        self.checkpoint: Checkpoint | None = None
        self.run: Run | None = None
        self.teacher: Trained | None = None
        self.command = command_line(["python", "-m", "src.cli", *words])
        try:
            super().__init__(
                Classifier,
                MNISTDataModule,
                save_config_callback=None,
                trainer_class=OneBatchTrainer,
                trainer_defaults=TRAINER_DEFAULTS,
                parser_class=FitParser,
                parser_kwargs={"prog": "python -m src.cli", "allow_abbrev": False, "description": DESCRIPTION}
                | {name: {"description": f"{name} {EVERY[name]}."} for name in self.subcommands()},
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
            )
        finally:
            if self.run is not None:
                self.run.unlock()

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Return the Trainer's methods that are commands, each with its arguments that are not flags.

        If the request begins with a method, return that method only, because each parser takes some 50 ms to make.
        """
        evaluation = {"model", "dataloaders", "datamodule", "ckpt_path", "verbose", "weights_only"}
        training = {"model", "train_dataloaders", "val_dataloaders", "datamodule", "ckpt_path", "weights_only"}
        methods = {"fit": training, "validate": evaluation, "test": evaluation}
        return {name: methods[name] for name in self.words[:1] if name in methods} or methods

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the seed; Lightning's own flag also takes booleans, whose meaning is easily mistaken."""
        text = "Decides the initial weights, the order of the training images, dropout and distortion."
        parser.add_argument("--seed_everything", type=Seed, default=42, help=text)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add our own flags."""
        add_flags(parser)
        self.parsers.append(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the request; with a checkpoint parse it again, with the checkpoint's settings as defaults."""
        refuse_variables()
        request = [word for word in self.words if not word.startswith("--print_config")]  # a flag that ends parsing
        try:
            self.config = parser.parse_args(request)
            sum_losses(self.request)
            if self.config.subcommand == "fit":
                self.request.ckpt_path = self.ranks.from_first("own run", self._made_run) or self.request.ckpt_path
            if self.request.ckpt_path is not None:
                self.checkpoint = self._read_checkpoint()
                self.config = parser.parse_args(request)
                sum_losses(self.request)
                if self.request.data.dataset == "folder" and self.request.data.image_size is None:
                    self.request.data.image_size = list(self.checkpoint.image_shape[:2])
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

    def _made_run(self) -> str:
        """Return the run folder, with a checkpoint, that this job made before its restart; else an empty string."""
        run = self.job.run_made(self.root)
        return str(run.path) if run and run.last.exists() else ""

    def _read_checkpoint(self) -> Checkpoint:
        training, request = self.config.subcommand == "fit", str(self.request.ckpt_path)
        if training and self.launch.is_first:
            # lock before reading: another process could resume the run and save in between
            path = find_checkpoint(request, self.root, "last")
            run = Run.of_checkpoint(path)
            if run.continues_from(path):
                run.lock()
                self.run = run
                request = request if path == Path(request) else str(run.path)  # "last" may be another run by now
        checkpoint = Checkpoint.find(request, self.root, training)
        recipe = settings_of(checkpoint, self.request, training)
        if isinstance(checkpoint.setting("model", "network"), str):
            network_of(checkpoint)  # refuses weights that do not fit, before the data is read and the run is made
        try:
            self.parsers[0].parse_object(recipe)
        except ParserError as error:
            raise ParserError(f"{checkpoint.path} has a setting that cannot be used: {error}") from error
        for subparser in self.parsers:
            subparser.set_defaults(dotted(recipe, whole_classes=True))
        return checkpoint

    @property
    def request(self) -> Namespace:
        """The parsed arguments of the chosen subcommand."""
        chosen: Namespace = self.config[self.config.subcommand]
        return chosen

    def to_yaml(self) -> str:
        """Return the request as a config, without ``ckpt_path`` so that the config can be combined with the flag."""
        request = self.request.clone()
        request.pop("ckpt_path")
        content: str = self.parsers[0].dump(request, skip_unset=False)
        if lost := re.search(r"^(.*): *Unable to serialize instance", content, re.MULTILINE):
            raise UsageError(f"{lost[1].strip()} has a value that no config can hold: give plain values.")
        return content
