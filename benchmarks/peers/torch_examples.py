"""A plain loop as in PyTorch's own examples: torchvision's per-image transform, a DataLoader, a line now and then."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from benchmarks.peers.common import Clock


class Net(nn.Module):
    """The notebook's network."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 256)
        self.fc2 = nn.Linear(256, 10)
        for layer in (self.fc1, self.fc2):
            nn.init.normal_(layer.weight, 0.0, 0.05)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.fc2(functional.relu(self.fc1(torch.flatten(x, 1))))


def train(model: Net, loader: Any, optimizer: torch.optim.Optimizer, epoch: int, clock: Clock) -> None:
    """Train one epoch."""
    model.train()
    for number, (data, target) in enumerate(loader):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(data), target)
        loss.backward()
        optimizer.step()
        clock.step()
        if number % 10 == 0:
            print(f"Epoch {epoch} [{number * len(data)}/{len(loader.dataset)}] loss: {loss.item():.4f}")


def validate(model: Net, loader: Any) -> float:
    """Return the accuracy."""
    model.eval()
    loss = hits = 0.0
    with torch.no_grad():
        for data, target in loader:
            output = model(data)
            loss += functional.cross_entropy(output, target, reduction="sum").item()
            hits += (output.argmax(1) == target).sum().item()
    size = len(loader.dataset)
    print(f"Validation: loss {loss / size:.4f}, accuracy {hits / size:.4f}")
    return hits / size


def main() -> None:
    """Train and report."""
    clock = Clock()
    torch.manual_seed(0)
    mnist = datasets.MNIST("data", transform=transforms.ToTensor())
    train_loader = DataLoader(Subset(mnist, range(48_000)), batch_size=200, shuffle=True)
    val_loader = DataLoader(Subset(mnist, range(48_000, 60_000)), batch_size=1000)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
    for epoch in range(1, 11):
        train(model, train_loader, optimizer, epoch, clock)
        val_acc = validate(model, val_loader)
        clock.epoch(val_acc)
    clock.report()


if __name__ == "__main__":
    main()
