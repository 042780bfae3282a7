"""What each of TensorBoard's dashboards shows of a network: one function per picture, curve or table."""

import warnings

import torch
from torch import Tensor
from torch.nn import functional

from src.common import charts, drawing
from src.inspection import findings
from src.inspection.projector import write_projector
from src.inspection.views import Evaluation, Network

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
    of.writer.add_image("train/first_batch", sheet, of.step, dataformats="HWC")


def draw_weights(of: Network) -> None:
    """Images: the first layer's weights as images, a tile per unit."""
    weight = next(of.net.parameters()).detach()
    shape = of.batch.images.shape[1:] if weight.dim() == 2 else weight.shape[2:]  # of a convolution its kernel
    if weight.dim() == 2 and weight.shape[1] != shape.numel():
        return  # it does not see whole images
    shown = f"{min(len(weight), UNITS)} of {len(weight)}" if len(weight) > UNITS else str(len(weight))
    title = f"Weights of the first layer's {shown} units (epoch {of.step})"
    picture = drawing.weights(weight[:UNITS].reshape(-1, *shape), title)
    of.writer.add_image("weights/first_layer", picture, of.step, dataformats="HWC")


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
    counts = findings.confusion_counts(of.found)
    picture = charts.confusion(counts, of.data.classes, of.title("Confusion"))
    of.writer.add_image(f"{of.split}/confusion", picture, of.step, dataformats="HWC")


def draw_mistakes(of: Evaluation) -> None:
    """Images: the wrong predictions of the highest confidence."""
    chosen = of.found.select(right=False, count=MISTAKES)
    wrong = int((of.found.predicted != of.found.labels).sum())
    captions = [
        [f"true: {true}", f"predicted: {predicted}", f"{confidence:.2%}"]
        for true, predicted, confidence in _described(of, chosen)
    ]
    note = f"the {len(chosen)} most confident of {wrong:,} mistakes in {len(of.found.labels):,} images"
    sheet = drawing.sheet(of.images(chosen), captions, of.title("Worst mistakes"), [note])
    of.writer.add_image(f"{of.split}/worst_mistakes", sheet, of.step, dataformats="HWC")


def draw_surest(of: Evaluation) -> None:
    """Images: the surest right predictions beside the least sure right ones."""
    panels = []
    for title, surest in (("Surest, and right", True), ("Least sure, yet right", False)):
        chosen = of.found.select(right=True, count=SUREST, surest=surest)
        captions = [[name, f"{confidence:.1%}"] for name, _, confidence in _described(of, chosen)]
        note = f"{of.data.dataset} {of.split}, weights of epoch {of.step}"
        panels.append(drawing.sheet(of.images(chosen), captions, title, [note], columns=3))
    of.writer.add_image(f"{of.split}/surest_and_least_sure", drawing.beside(*panels), of.step, dataformats="HWC")


def draw_calibration(of: Evaluation) -> None:
    """Images and Scalars: the reliability diagram and the expected calibration error."""
    error = findings.calibration_error(of.found)
    right = (of.found.predicted == of.found.labels).double().mean()
    notes = [
        f"expected calibration error {error:.4f}",
        f"mean confidence {of.found.confidence.mean():.4f}, accuracy {right:.4f}",
    ]
    picture = charts.reliability(*findings.calibration_bins(of.found), of.title("Reliability"), notes)
    of.writer.add_image(f"{of.split}/reliability", picture, of.step, dataformats="HWC")
    of.writer.add_scalar(f"{of.split}/calibration_error", error, of.step)


def draw_pr_curves(of: Evaluation) -> None:
    """PR Curves: one per class."""
    for label, name in enumerate(of.data.classes):
        probabilities = of.found.probabilities[:, label]
        of.writer.add_pr_curve(f"{of.split}/{name}", of.found.labels == label, probabilities, of.step)


def draw_report(of: Evaluation) -> None:
    """Text: precision, recall, F1 and support of each class."""
    report = findings.class_report(findings.confusion_counts(of.found), of.data.classes)
    of.writer.add_text(f"{of.split}/classes", report, of.step)


def draw_projector(of: Evaluation) -> None:
    """Projector: the last hidden layer's activations for images that lie evenly over the split."""
    chosen = torch.arange(of.samples) * len(of.found.labels) // of.samples
    images = of.images(chosen)
    rows = [["class", "predicted", "confidence", "position"]]
    for (true, predicted, confidence), position in zip(
        _described(of, chosen), of.found.positions[chosen].tolist(), strict=True
    ):
        rows.append([true, predicted, f"{confidence:.4f}", str(position)])
    activations = findings.hidden_activations(of.net, of.data.normalize(images))
    write_projector(of.folder, of.split, f"{of.split}, epoch {of.step}", activations, rows, images)


def _described(of: Evaluation, chosen: Tensor) -> list[tuple[str, str, float]]:
    """Return the true class, the predicted class and the confidence of some predictions."""
    found, classes = of.found, of.data.classes
    columns = (found.labels[chosen], found.predicted[chosen], found.confidence[chosen])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(classes[true], classes[predicted], confidence) for true, predicted, confidence in rows]


OF_NETWORK = (draw_first_batch, draw_weights, draw_histograms)
OF_EVALUATION = (
    draw_confusion, draw_mistakes, draw_surest, draw_calibration, draw_pr_curves, draw_report, draw_projector
)  # fmt: skip
