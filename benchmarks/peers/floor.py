"""The floor: an epoch's matrix products and Adam's updates, nothing else. It learns nothing.

Five products a step (two forward; two for the gradients of the weights, one for that of the hidden layer) on batches
that lie ready in float32, two for the validation images. A short last batch counts as a whole one.
"""

import statistics
import time

import torch
from torch import Tensor, nn

from benchmarks.peers.common import VAL_SIZE, Clock, options, read
from src.model.cpu import use_onednn


def main() -> None:
    """Compute and report."""
    flags = options(__doc__).parse_args()
    clock = Clock()
    use_onednn()
    torch.manual_seed(0)
    train_size = len(read("labels", flags.data_dir)) - VAL_SIZE
    batch, width = flags.batch_size, flags.hidden_units
    weights = [nn.Parameter(0.05 * torch.randn(shape)) for shape in ((width, 784), (width,), (10, width), (10,))]
    for weight in weights:
        weight.grad = torch.full_like(weight, 1e-3)
    first, second = weights[0].detach(), weights[2].detach()
    optimizer = torch.optim.Adam(weights, lr=1e-3, eps=1e-7, fused=True)
    batches = torch.rand(16, batch, 784)
    validation = torch.rand(VAL_SIZE, 784)
    hidden, logits = torch.rand(batch, width), torch.rand(batch, 10)

    def multiply(x: Tensor) -> None:
        torch.mm(x, first.t(), out=hidden)
        torch.mm(hidden, second.t(), out=logits)
        torch.mm(logits.t(), hidden, out=weights[2].grad)
        torch.mm(logits, second, out=hidden)
        torch.mm(hidden.t(), x, out=weights[0].grad)

    products = []
    for _ in range(flags.epochs):
        in_products = 0.0
        for step in range(-(-train_size // batch)):
            start = time.perf_counter()
            with torch.no_grad():
                multiply(batches[step % 16])
            in_products += time.perf_counter() - start
            optimizer.step()
            clock.step()
        start = time.perf_counter()
        torch.mm(torch.mm(validation, first.t()), second.t())
        in_products += time.perf_counter() - start
        products.append(in_products)
        clock.epoch()
    clock.report(products_seconds=statistics.median(products))


if __name__ == "__main__":
    main()
