"""The contents of TensorBoard's dashboards: one function for each picture, curve or table."""

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

METRICS = """`train/loss` and `train/acc` are means over the batches of an epoch, each computed before the batch's
optimizer step, with dropout and distortion. `val/*` and `test/*` are computed with the weights at the end of the epoch,
the averaged weights if `ema_decay` is set, on undistorted images and without dropout."""
FIRST_BATCH, UNITS, MISTAKES, SUREST = 200, 1_024, 40, 18  # how many are drawn, at most


def draw_first_batch(view: Network) -> None:
    """Images: the first training batch, augmented and with its labels."""
    labels = view.batch.labels[:FIRST_BATCH].tolist()
    sheet = drawing.sheet(
        view.batch.images[:FIRST_BATCH].permute(0, 2, 3, 1),
        [[view.data.classes[label]] for label in labels],
        "The first training batch as the network sees it",
        [f"{len(labels)} of {len(view.batch.labels)} images, below each its class"],
        columns=10,
        scale=2,
    )
    view.add_picture("train/first_batch", sheet)


def draw_weights(view: Network) -> None:
    """Images: the first layer's weights as images, a tile per unit."""
    weight = next(view.net.parameters()).detach()
    shape = view.batch.images.shape[1:] if weight.dim() == 2 else weight.shape[1:]  # a convolution's kernel
    if weight.dim() not in (2, 4) or weight.shape[1:].numel() != shape.numel():
        return  # the layer does not see whole images
    shown = f"{UNITS} of {len(weight)}" if len(weight) > UNITS else str(len(weight))
    title = f"Weights of the first layer's {shown} units (epoch {view.step})"
    view.add_picture("weights/first_layer", drawing.weights(weight[:UNITS].reshape(-1, *shape).mean(1), title))


def draw_histograms(view: Network) -> None:
    """Histograms and Distributions: weights and gradients of each layer, of the first training batch's loss."""
    for net, step in ((view.initial, 0), (view.net, view.step)):
        if net is None:
            continue
        loss = functional.cross_entropy(net(view.batch.images), view.batch.labels)
        names, parameters = zip(*net.named_parameters(), strict=True)
        gradients = torch.autograd.grad(loss, parameters)
        for name, parameter, gradient in zip(names, parameters, gradients, strict=True):
            view.writer.add_histogram(f"weights/{name}", parameter, step)
            view.writer.add_histogram(f"weights/{name}.gradient", gradient, step)


def draw_graph(view: Network) -> None:
    """Graphs: the network."""
    with warnings.catch_warnings():
        # SummaryWriter.add_graph traces with torch.jit, which torch has deprecated without another way to a graph
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.trace")
        view.writer.add_graph(view.net, view.batch.images[:1])


def draw_confusion(view: Evaluation) -> None:
    """Images: the confusion matrix."""
    counts = findings.confusion_counts(view.predictions)
    view.add_picture(f"{view.split}/confusion", charts.confusion(counts, view.data.classes, view.title("Confusion")))


def draw_mistakes(view: Evaluation) -> None:
    """Images: the wrong predictions with the highest confidence."""
    chosen = view.predictions.select(right=False, count=MISTAKES)
    captions = [
        [f"true: {true}", f"predicted: {predicted}", f"{confidence:.2%}"]
        for true, predicted, confidence in _described(view, chosen)
    ]
    wrong, total = int((~view.predictions.right).sum()), len(view.predictions.labels)
    note = f"the {len(chosen)} most confident of {wrong:,} mistakes in {total:,} images"
    sheet = drawing.sheet(view.images(chosen), captions, view.title("Worst mistakes"), [note])
    view.add_picture(f"{view.split}/worst_mistakes", sheet)


def draw_surest(view: Evaluation) -> None:
    """Images: the surest right predictions beside the least sure right ones."""
    panels = []
    for title, surest in (("Surest, and right", True), ("Least sure, yet right", False)):
        chosen = view.predictions.select(right=True, count=SUREST, surest=surest)
        captions = [[name, f"{confidence:.1%}"] for name, _, confidence in _described(view, chosen)]
        note = f"{view.data.dataset} {view.split}, weights of epoch {view.step}"
        panels.append(drawing.sheet(view.images(chosen), captions, title, [note], columns=3))
    view.add_picture(f"{view.split}/surest_and_least_sure", drawing.beside(*panels))


def draw_calibration(view: Evaluation) -> None:
    """Images and Scalars: the reliability diagram and the expected calibration error."""
    error = findings.calibration_error(view.predictions)
    confidence, accuracy = view.predictions.confidence.mean(), view.predictions.right.double().mean()
    notes = [f"expected calibration error {error:.4f}", f"mean confidence {confidence:.4f}, accuracy {accuracy:.4f}"]
    bins = findings.calibration_bins(view.predictions)
    view.add_picture(f"{view.split}/reliability", charts.reliability(*bins, view.title("Reliability"), notes))
    view.writer.add_scalar(f"{view.split}/calibration_error", error, view.step)


def draw_pr_curves(view: Evaluation) -> None:
    """PR Curves: one per class."""
    labels, probabilities = view.predictions.labels, view.predictions.probabilities
    for label, name in enumerate(view.data.classes):
        view.writer.add_pr_curve(f"{view.split}/{name}", labels == label, probabilities[:, label], view.step)


def draw_report(view: Evaluation) -> None:
    """Text: precision, recall, F1 and support of each class."""
    report = findings.class_report(findings.confusion_counts(view.predictions), view.data.classes)
    view.writer.add_text(f"{view.split}/classes", report, view.step)


def draw_projector(view: Evaluation) -> None:
    """Projector: the last hidden layer's activations for images spread evenly over the split."""
    chosen = torch.arange(view.samples) * len(view.predictions.labels) // view.samples
    images, positions = view.images(chosen), view.predictions.positions[chosen].tolist()
    rows = [["class", "predicted", "confidence", "position"]]
    for (true, predicted, confidence), position in zip(_described(view, chosen), positions, strict=True):
        rows.append([true, predicted, f"{confidence:.4f}", str(position)])
    activations = findings.hidden_activations(view.net, view.data.normalize(images))
    write_projector(view.folder, view.split, f"{view.split}, epoch {view.step}", activations, rows, images)


def _described(view: Evaluation, chosen: Tensor) -> list[tuple[str, str, float]]:
    """Return the true class, the predicted class and the confidence of some predictions."""
    columns = (view.predictions.labels, view.predictions.predicted, view.predictions.confidence)
    rows = zip(*(column[chosen].tolist() for column in columns), strict=True)
    return [(view.data.classes[true], view.data.classes[predicted], confidence) for true, predicted, confidence in rows]


def write_text(writer: "SummaryWriter", command: str, run: Run, net: nn.Module, step: int) -> None:
    """Text: the command, config and parameters of a run, and what its metrics mean."""
    writer.add_text("run/command", code(command), step)
    writer.add_text("run/config", code(read_regular(run.path / "config.yaml").decode()), step)
    writer.add_text("run/parameters", code(parameter_table(net)), step)
    writer.add_text("run/metrics", METRICS, step)


def code(text: str) -> str:
    """Return text as a Markdown code block."""
    return f"```\n{text.strip()}\n```"


OF_NETWORK = (draw_first_batch, draw_weights, draw_histograms)
OF_EVALUATION = (
    draw_confusion, draw_mistakes, draw_surest, draw_calibration, draw_pr_curves, draw_report, draw_projector
)  # fmt: skip
