"""All dashboards of a network and of its predictions, each for itself: what cannot be drawn is one line of warning."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from src.common.errors import FULL
from src.common.files import read_regular
from src.common.output import warn
from src.data.batches import Batch
from src.data.datamodule import MNISTDataModule
from src.inspection.dashboards import OF_EVALUATION, OF_NETWORK, draw_graph
from src.inspection.views import Evaluation, Network
from src.model.networks import parameter_table
from src.runs.folder import Run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

METRICS = """`train/loss` and `train/acc` are means over the batches of an epoch, each taken before its step, with
dropout and distortion, of the weights of that moment. `val/*` and `test/*` belong to the end of the epoch: of images
as they are, without dropout, of the averaged weights if `ema_decay` is set."""


def guard(what: str, work: Callable[[], None]) -> None:
    """Turn whatever goes wrong into one line; a full disk is left to the caller."""
    try:
        work()
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        warn(f"TensorBoard lacks {what} ({' '.join(f'{type(error).__name__}: {error}'.split())})")


def write_text(writer: "SummaryWriter", command: str, run: Run, net: nn.Sequential, step: int) -> None:
    """Write the text of a run: command, config, parameters, and what its metrics mean."""
    writer.add_text("run/command", code(command), step)
    writer.add_text("run/config", code(read_regular(run.path / "config.yaml").decode()), step)
    writer.add_text("run/parameters", code(parameter_table(net)), step)
    writer.add_text("run/metrics", METRICS, step)


def draw_network(
    writer: "SummaryWriter",
    net: nn.Sequential,
    initial: nn.Sequential | None,
    data: MNISTDataModule,
    step: int,
    with_graph: bool,
) -> None:
    """Draw a network, beside what it was before training if that is given."""
    batch: Batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    size = batch.sizes[0]  # of the first optimizer step
    batch = batch._replace(images=batch.images[:size].cpu(), labels=batch.labels[:size].cpu())
    network = Network(writer, net, initial, batch, data, step)
    for draw in (*OF_NETWORK, draw_graph) if with_graph else OF_NETWORK:
        guard(_name(draw), partial(draw, network))


def draw_evaluation(evaluation: Evaluation) -> None:
    """Draw a network's predictions."""
    for draw in OF_EVALUATION:
        guard(_name(draw), partial(draw, evaluation))


def code(text: str) -> str:
    """Return text as a block of code in Markdown."""
    return f"```\n{text.strip()}\n```"


def _name(draw: Callable[..., None]) -> str:
    return f"the {draw.__name__.removeprefix('draw_').replace('_', ' ')}"
