"""The recipe of configs/mlp.yaml in plain Lightning, for reading: it ends with the weights of ``fit``, bit for bit.

``python -m examples.minimal`` trains ten epochs. What the project adds to this is speed, exact resume, inspection.
On a busy machine set OMP_NUM_THREADS=1: PyTorch's threads wait for each other, and an epoch may take a minute.
"""

import hashlib
from collections.abc import Iterator

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Sampler, TensorDataset
from torchmetrics.classification import MulticlassAccuracy
from torchvision.datasets import MNIST

SEED, TRAIN, BATCH = 42, 48_000, 200


class Shuffled(Sampler[Tensor]):
    """Batches of positions in an order that is a function of seed and epoch alone."""

    epoch = 0

    def __iter__(self) -> Iterator[Tensor]:
        """Yield the batches of the next epoch."""
        digest = hashlib.sha256(f"{SEED}/{self.epoch}".encode()).digest()
        self.epoch += 1
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:4]))
        yield from torch.randperm(TRAIN, generator=generator).split(BATCH)

    def __len__(self) -> int:
        return TRAIN // BATCH


class MNISTData(LightningDataModule):
    """The first 48,000 images train, the last 12,000 validate."""

    def setup(self, stage: str) -> None:
        """Read all images at once: they stay bytes until they are a batch."""
        mnist = MNIST("data", download=True)
        self.train = TensorDataset(mnist.data[:TRAIN], mnist.targets[:TRAIN])
        self.val = TensorDataset(mnist.data[TRAIN:], mnist.targets[TRAIN:])

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return batches by one indexed gather each."""
        return DataLoader(self.train, batch_size=None, sampler=Shuffled())

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return the images in their order."""
        return DataLoader(self.val, batch_size=4_000)


class Classifier(LightningModule):
    """784-256-10 with ReLU, initialised like the Keras notebook; Adam on softmax cross-entropy."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), self.dense(784, 256), nn.ReLU(), self.dense(256, 10))
        self.train_acc, self.val_acc = MulticlassAccuracy(10, average="micro"), MulticlassAccuracy(10, average="micro")

    @staticmethod
    def dense(fan_in: int, fan_out: int) -> nn.Linear:
        """Return a layer with weights from N(0, 0.05) and zero biases."""
        layer = nn.Linear(fan_in, fan_out)
        nn.init.normal_(layer.weight, std=0.05)
        nn.init.zeros_(layer.bias)
        return layer

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the mean cross-entropy."""
        return self.step("train", self.train_acc, *batch)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count a batch."""
        self.step("val", self.val_acc, *batch)

    def step(self, stage: str, accuracy: MulticlassAccuracy, images: Tensor, labels: Tensor) -> Tensor:
        """Compute and log loss and accuracy of ``(B, 28, 28)`` uint8 images with ``(B,)`` labels."""
        logits = self.net(images.float() / 255)
        loss = functional.cross_entropy(logits, labels)
        accuracy(logits, labels)
        self.log_dict({f"{stage}/loss": loss, f"{stage}/acc": accuracy}, on_epoch=True, on_step=False, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam with Keras' eps."""
        return torch.optim.Adam(self.parameters(), lr=1e-3, eps=1e-7, fused=True)


def main(max_epochs: int = 10) -> Classifier:
    """Train and return the network."""
    seed_everything(SEED)
    model = Classifier()
    trainer = Trainer(max_epochs=max_epochs, logger=False, enable_checkpointing=False, num_sanity_val_steps=0)
    trainer.fit(model, datamodule=MNISTData())
    return model


if __name__ == "__main__":
    main()
