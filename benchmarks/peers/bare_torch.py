"""A bare PyTorch loop, as fast as we can write one: what Lightning is held against.

Images in memory as uint8, a batch is one gather; fused Adam; losses and hits are added up once per epoch. No logging,
no checkpoints, no progress but a line per epoch.
"""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.common import VAL_SIZE, Clock, options, read


def main() -> None:
    """Train and report."""
    flags = options(__doc__)
    clock = Clock()
    torch.manual_seed(0)
    images = torch.from_numpy(read("images", flags.data_dir))
    labels = torch.from_numpy(read("labels", flags.data_dir)).long()
    train_size = len(images) - VAL_SIZE

    net = nn.Sequential(nn.Linear(784, flags.hidden_units), nn.ReLU(), nn.Linear(flags.hidden_units, 10))
    for layer in (net[0], net[2]):
        nn.init.normal_(layer.weight, 0.0, 0.05)
        nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, eps=1e-7, fused=True)

    for epoch in range(flags.epochs):
        loss_sum, hits = torch.zeros(()), torch.zeros((), dtype=torch.long)
        for members in torch.randperm(train_size).split(flags.batch_size):
            x, y = images.index_select(0, members).float().div_(255), labels.index_select(0, members)
            logits = net(x)
            loss = functional.cross_entropy(logits, y)
            optimizer.zero_grad(set_to_none=False)  # keeps the buffers of the gradients
            loss.backward()
            optimizer.step()
            clock.step()
            loss_sum += loss.detach() * len(y)
            hits += (logits.detach().argmax(1) == y).sum()
        with torch.inference_mode():
            logits = net(images[train_size:].float().div_(255))
            val_loss = float(functional.cross_entropy(logits, labels[train_size:]))
            val_acc = float((logits.argmax(1) == labels[train_size:]).float().mean())
        train_loss, train_acc = float(loss_sum) / train_size, float(hits) / train_size
        print(f"{epoch + 1}: {train_loss:.4f} {train_acc:.4f} {val_loss:.4f} {val_acc:.4f}")
        clock.epoch()
    clock.report(val_acc)


if __name__ == "__main__":
    main()
