"""A bare PyTorch loop, as fast as we can write one: what Lightning is held against.

Images in memory as float32, a batch is one gather; fused Adam; losses and hits are counted once per epoch. Tried and no
faster: uint8 in memory (``--uint8``, for sets that float32 has no room for), gathering the epoch ahead, keeping the
gradients' buffers, counting at every step. No logging, no checkpoints, no progress but a line per epoch. It starts and
ends as quickly as ``src/cli/main.py``, by the same means.
"""

# ruff: noqa: E402
import gc
import os
import sys

gc.disable()

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import VAL_SIZE, Clock, options, read
from src.model.cpu import use_onednn

gc.freeze()
gc.enable()


def main() -> None:
    """Train and report."""
    parser = options(__doc__)
    parser.add_argument("--device", default="cpu", help="where the images and the network lie: cpu or cuda")
    flags = parser.parse_args()
    clock = Clock()
    use_onednn()
    torch.manual_seed(flags.seed)
    images = torch.from_numpy(read("images", flags.data_dir)).to(flags.device)
    images = images if flags.uint8 else images.float().div_(255)
    labels = torch.from_numpy(read("labels", flags.data_dir)).long().to(flags.device)
    train_size = len(images) - VAL_SIZE

    layers = nn.Linear(784, flags.hidden_units), nn.Linear(flags.hidden_units, 10)
    net = nn.Sequential(layers[0], nn.ReLU(), layers[1])
    for layer in layers:
        nn.init.normal_(layer.weight, 0.0, 0.05)
        nn.init.zeros_(layer.bias)
    net.to(flags.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, eps=1e-7, fused=True)

    for epoch in range(flags.epochs):
        order, losses, all_logits = torch.randperm(train_size).to(flags.device), [], []
        for members in order.split(flags.batch_size):
            x, y = images.index_select(0, members), labels.index_select(0, members)
            logits = net(x.float().div_(255) if flags.uint8 else x)
            loss = functional.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            clock.step()
            losses.append(loss.detach() * len(y))
            all_logits.append(logits.detach())
        train_loss = float(torch.stack(losses).sum()) / train_size
        train_acc = float((torch.cat(all_logits).argmax(1) == labels[order]).float().mean())
        with torch.inference_mode():
            val_images = images[train_size:]
            logits = net(val_images.float().div_(255) if flags.uint8 else val_images)
            val_loss = float(functional.cross_entropy(logits, labels[train_size:]))
            val_acc = float((logits.argmax(1) == labels[train_size:]).float().mean())
        print(f"{epoch + 1}: {train_loss:.4f} {train_acc:.4f} {val_loss:.4f} {val_acc:.4f}")
        clock.epoch(val_acc)
    clock.report()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
