"""The request to ``fit`` that all trials of a sweep share."""

from contextlib import suppress
from typing import Any

from typing_extensions import override

from src.callbacks.monitor import Monitor
from src.cli.callbacks import refuse_callbacks
from src.cli.optimizer import refuse_optimizer
from src.cli.request import Request
from src.common.errors import UsageError
from src.launch.launcher import Launch, as_list, number_of_devices
from src.launch.ranks import Ranks


class ParsedError(Exception):
    """Ends a CLI after parsing."""


class FitRequest(Request):
    """A request to ``fit`` that is parsed and checked, but not run."""

    def __init__(self, words: list[str]) -> None:
        launch = Launch()
        with suppress(ParsedError):
            super().__init__(["fit", *words], launch, Ranks(launch))
        self._refuse()

    def _refuse(self) -> None:
        trainer = self.request.trainer
        if number_of_devices(trainer.devices) not in (None, 1) or trainer.num_nodes > 1:
            raise UsageError("--trainer.devices: a trial runs on one device; start several workers instead.")
        if trainer.fast_dev_run or trainer.barebones:
            raise UsageError("--trainer.fast_dev_run and --trainer.barebones leave no run to compare: leave them out.")
        if not self.request.data.val_size or trainer.limit_val_batches == 0:
            name = self.request.checkpoints.monitor
            raise UsageError(f"a sweep compares {name}, so it needs validation: set --data.val_size.")

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Parse; refuse a checkpoint, whose settings would become the defaults of all trials."""
        if any(word.partition("=")[0] == "--ckpt_path" for word in self.words):
            raise UsageError("--ckpt_path: the trials of a sweep start from the beginning; leave it out.")
        super().parse_arguments(parser, args)

    @override
    def before_instantiate_classes(self) -> None:
        raise ParsedError

    def parse(self, words: list[str]) -> None:
        """Parse other words, and make the network and the data module, which check their arguments."""
        self.words = ["fit", *words]
        monitor = Monitor.of(self.request)
        self.parse_arguments(self.parser, None)
        if Monitor.of(self.request) != monitor:
            raise UsageError("checkpoints.monitor and mode tell the best of all trials: leave them out of the space.")
        self._refuse()
        config = self.config.clone()
        config.fit.trainer.logger = None  # a tracker begins a run when it is made
        made = self.parser.instantiate_classes(config).fit
        refuse_optimizer(self.request, made)
        refuse_callbacks(as_list(made.trainer.callbacks))
        Monitor.of(self.request).refuse(made.model.val_metrics)
