"""Lightning as its tutorials do it: torchvision's per-image transform, a DataLoader, a log in every step."""

import tempfile

import lightning as L  # noqa: N812
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset
from torchmetrics.classification import MulticlassAccuracy
from torchvision import datasets, transforms

from benchmarks.peers.lightning_clock import LightningClock


class LitMNIST(L.LightningModule):
    """The notebook's network."""

    def __init__(self) -> None:
        super().__init__()
        layers = nn.Linear(784, 256), nn.Linear(256, 10)
        self.net = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1])
        for layer in layers:
            nn.init.normal_(layer.weight, 0.0, 0.05)
            nn.init.zeros_(layer.bias)
        self.train_acc = MulticlassAccuracy(10, average="micro")
        self.val_acc = MulticlassAccuracy(10, average="micro")

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the loss of a batch."""
        x, y = batch
        logits = self.net(x)
        loss = functional.cross_entropy(logits, y)
        self.train_acc(logits, y)
        self.log("train_loss", loss)
        self.log("train_acc", self.train_acc, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Log loss and accuracy of a batch."""
        x, y = batch
        logits = self.net(x)
        self.val_acc(logits, y)
        self.log("val_loss", functional.cross_entropy(logits, y), prog_bar=True)
        self.log("val_acc", self.val_acc, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=1e-3, eps=1e-7)


def main() -> None:
    """Train and report."""
    L.seed_everything(0)
    mnist = datasets.MNIST("data", transform=transforms.ToTensor())
    train = DataLoader(Subset(mnist, range(48_000)), batch_size=200, shuffle=True)
    val = DataLoader(Subset(mnist, range(48_000, 60_000)), batch_size=200)
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            max_epochs=10, default_root_dir=folder, callbacks=[LightningClock("val_acc"), TQDMProgressBar()]
        )
        trainer.fit(LitMNIST(), train, val)


if __name__ == "__main__":
    main()
