"""What each of TensorBoard's dashboards shows of a network: one function per picture, curve or table."""

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from src.common import charts, drawing
from src.common.files import read_regular
from src.inspection import findings
from src.inspection.projector import write_projector
from src.inspection.views import Evaluation, Network
from src.model.networks import parameter_table
from src.runs.folder import Run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

METRICS = """`train/loss` and `train/acc` are means over the batches of an epoch, each taken before its step, with
dropout and distortion, of the weights of that moment. `val/*` and `test/*` belong to the end of the epoch: of images
as they are, without dropout, of the averaged weights if `ema_decay` is set."""
FIRST_BATCH, UNITS, MISTAKES, SUREST = 200, 1_024, 40, 18  # how many are drawn, at most


def draw_first_batch(of: Network) -> None:
    """Images: the first training batch, augmented and with its labels."""
    labels = of.batch.labels[:FIRST_BATCH].tolist()
    sheet = drawing.sheet(
        of.batch.images[:FIRST_BATCH],
        [[of.data.classes[label]] for label in labels],
        "The first training batch as the network sees it",
        [f"{len(labels)} of {len(of.batch.labels)} images, below each its class"],
        columns=10,
        scale=2,
    )
    of.add_picture("train/first_batch", sheet)


def draw_weights(of: Network) -> None:
    """Images: the first layer's weights as images, a tile per unit."""
    weight = next(of.net.parameters()).detach()
    shape = of.batch.images.shape[1:] if weight.dim() == 2 else weight.shape[2:]  # of a convolution its kernel
    if weight.dim() == 2 and weight.shape[1] != shape.numel():
        return  # it does not see whole images
    shown = f"{min(len(weight), UNITS)} of {len(weight)}" if len(weight) > UNITS else str(len(weight))
    title = f"Weights of the first layer's {shown} units (epoch {of.step})"
    of.add_picture("weights/first_layer", drawing.weights(weight[:UNITS].reshape(-1, *shape), title))


def draw_histograms(of: Network) -> None:
    """Histograms and Distributions: weights and gradients of each layer, of the first training batch's loss."""
    for net, step in ((of.initial, 0), (of.net, of.step)):
        if net is None:
            continue
        loss = functional.cross_entropy(net(of.batch.images), of.batch.labels)
        names, parameters = zip(*net.named_parameters(), strict=True)
        gradients = torch.autograd.grad(loss, parameters)
        for name, parameter, gradient in zip(names, parameters, gradients, strict=True):
            of.writer.add_histogram(f"weights/{name}", parameter, step)
            of.writer.add_histogram(f"gradients/{name}", gradient, step)


def draw_graph(of: Network) -> None:
    """Graphs: the network."""
    with warnings.catch_warnings():
        # SummaryWriter.add_graph traces with torch.jit, which torch has deprecated without another way to a graph
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.trace")
        of.writer.add_graph(of.net, of.batch.images[:1])


def draw_confusion(of: Evaluation) -> None:
    """Images: the confusion matrix."""
    counts = findings.confusion_counts(of.predictions)
    of.add_picture(f"{of.split}/confusion", charts.confusion(counts, of.data.classes, of.title("Confusion")))


def draw_mistakes(of: Evaluation) -> None:
    """Images: the wrong predictions of the highest confidence."""
    chosen = of.predictions.select(right=False, count=MISTAKES)
    captions = [
        [f"true: {true}", f"predicted: {predicted}", f"{confidence:.2%}"]
        for true, predicted, confidence in _described(of, chosen)
    ]
    wrong, total = int((~of.predictions.right).sum()), len(of.predictions.labels)
    note = f"the {len(chosen)} most confident of {wrong:,} mistakes in {total:,} images"
    sheet = drawing.sheet(of.images(chosen), captions, of.title("Worst mistakes"), [note])
    of.add_picture(f"{of.split}/worst_mistakes", sheet)


def draw_surest(of: Evaluation) -> None:
    """Images: the surest right predictions beside the least sure right ones."""
    panels = []
    for title, surest in (("Surest, and right", True), ("Least sure, yet right", False)):
        chosen = of.predictions.select(right=True, count=SUREST, surest=surest)
        captions = [[name, f"{confidence:.1%}"] for name, _, confidence in _described(of, chosen)]
        note = f"{of.data.dataset} {of.split}, weights of epoch {of.step}"
        panels.append(drawing.sheet(of.images(chosen), captions, title, [note], columns=3))
    of.add_picture(f"{of.split}/surest_and_least_sure", drawing.beside(*panels))


def draw_calibration(of: Evaluation) -> None:
    """Images and Scalars: the reliability diagram and the expected calibration error."""
    error = findings.calibration_error(of.predictions)
    confidence, accuracy = of.predictions.confidence.mean(), of.predictions.right.double().mean()
    notes = [
        f"expected calibration error {error:.4f}",
        f"mean confidence {confidence:.4f}, accuracy {accuracy:.4f}",
    ]
    bins = findings.calibration_bins(of.predictions)
    of.add_picture(f"{of.split}/reliability", charts.reliability(*bins, of.title("Reliability"), notes))
    of.writer.add_scalar(f"{of.split}/calibration_error", error, of.step)


def draw_pr_curves(of: Evaluation) -> None:
    """PR Curves: one per class."""
    labels, probabilities = of.predictions.labels, of.predictions.probabilities
    for label, name in enumerate(of.data.classes):
        of.writer.add_pr_curve(f"{of.split}/{name}", labels == label, probabilities[:, label], of.step)


def draw_report(of: Evaluation) -> None:
    """Text: precision, recall, F1 and support of each class."""
    report = findings.class_report(findings.confusion_counts(of.predictions), of.data.classes)
    of.writer.add_text(f"{of.split}/classes", report, of.step)


def draw_projector(of: Evaluation) -> None:
    """Projector: the last hidden layer's activations for images that lie evenly over the split."""
    chosen = torch.arange(of.samples) * len(of.predictions.labels) // of.samples
    images, positions = of.images(chosen), of.predictions.positions[chosen].tolist()
    rows = [["class", "predicted", "confidence", "position"]]
    for (true, predicted, confidence), position in zip(_described(of, chosen), positions, strict=True):
        rows.append([true, predicted, f"{confidence:.4f}", str(position)])
    activations = findings.hidden_activations(of.net, of.data.normalize(images))
    write_projector(of.folder, of.split, f"{of.split}, epoch {of.step}", activations, rows, images)


def _described(of: Evaluation, chosen: Tensor) -> list[tuple[str, str, float]]:
    """Return the true class, the predicted class and the confidence of some predictions."""
    columns = (of.predictions.labels, of.predictions.predicted, of.predictions.confidence)
    rows = zip(*(column[chosen].tolist() for column in columns), strict=True)
    return [(of.data.classes[true], of.data.classes[predicted], confidence) for true, predicted, confidence in rows]


def write_text(writer: "SummaryWriter", command: str, run: Run, net: nn.Sequential, step: int) -> None:
    """Text: the command, config and parameters of a run, and what its metrics mean."""
    writer.add_text("run/command", code(command), step)
    writer.add_text("run/config", code(read_regular(run.path / "config.yaml").decode()), step)
    writer.add_text("run/parameters", code(parameter_table(net)), step)
    writer.add_text("run/metrics", METRICS, step)


def code(text: str) -> str:
    """Return text as a block of code in Markdown."""
    return f"```\n{text.strip()}\n```"


OF_NETWORK = (draw_first_batch, draw_weights, draw_histograms)
OF_EVALUATION = (
    draw_confusion, draw_mistakes, draw_surest, draw_calibration, draw_pr_curves, draw_report, draw_projector
)  # fmt: skip
