"""MNIST and its family, and CIFAR-10: the names of their files and classes."""

import string
from dataclasses import dataclass
from typing import Literal

DatasetName = Literal[
    "MNIST",
    "arrays",
    "folder",
    "CIFAR10",
    "FashionMNIST",
    "KMNIST",
    "QMNIST",
    "EMNIST/balanced",
    "EMNIST/byclass",
    "EMNIST/bymerge",
    "EMNIST/digits",
    "EMNIST/letters",
    "EMNIST/mnist",
]
MERGED_LETTERS = set("cijklmopsuvwxyz")  # EMNIST: lowercase letters that look like their capitals
ALL_CHARACTERS = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)
DISTINCT_CHARACTERS = tuple(character for character in ALL_CHARACTERS if character not in MERGED_LETTERS)
LONGEST_NAME = 255  # characters of a class name
DIGITS = tuple(string.digits)


@dataclass(frozen=True)
class Dataset:
    """A data set that is known by its name.

    Attributes:
        folder: The folder of its files, as torchvision or its archive names it.
        files: Training images, training labels, test images, test labels; CIFAR-10's files hold images and labels,
            and its last file tests.
        classes: The class names; a label is a position in them.
        first_label: The label of the first class in the files.
        transposed: Whether the files store images on their side (EMNIST's were written column by column).
        image_shape: (H, W), or (H, W, C) in colour.
    """

    folder: str
    files: tuple[str, ...]
    classes: tuple[str, ...]
    first_label: int = 0
    transposed: bool = False
    image_shape: tuple[int, ...] = (28, 28)


def is_class_name(name: object) -> bool:
    """Say whether a value can name a class: printable text in one line, no longer than a file name."""
    return isinstance(name, str) and name.isprintable() and 0 < len(name) <= LONGEST_NAME


def _named(prefix: str = "", test: str = "t10k", labels: str = "labels-idx1-ubyte") -> tuple[str, str, str, str]:
    train, test = f"{prefix}train", f"{prefix}{test}"
    return f"{train}-images-idx3-ubyte", f"{train}-{labels}", f"{test}-images-idx3-ubyte", f"{test}-{labels}"


def _emnist(split: str, classes: tuple[str, ...], first_label: int = 0) -> Dataset:
    return Dataset("EMNIST/raw", _named(f"emnist-{split}-", "test"), classes, first_label, transposed=True)


FASHION = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CIFAR10 = Dataset(
    "cifar-10-batches-bin",
    (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"),
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    image_shape=(32, 32, 3),
)
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
DATASETS: dict[DatasetName, Dataset] = {
    "MNIST": Dataset("MNIST/raw", _named(), DIGITS),
    "FashionMNIST": Dataset("FashionMNIST/raw", _named(), FASHION),
    "KMNIST": Dataset("KMNIST/raw", _named(), KANA),
    "QMNIST": Dataset("QMNIST/raw", _named("qmnist-", "test", "labels-idx2-int"), DIGITS),
    "EMNIST/balanced": _emnist("balanced", DISTINCT_CHARACTERS),
    "EMNIST/byclass": _emnist("byclass", ALL_CHARACTERS),
    "EMNIST/bymerge": _emnist("bymerge", DISTINCT_CHARACTERS),
    "EMNIST/digits": _emnist("digits", DIGITS),
    "EMNIST/letters": _emnist("letters", tuple(string.ascii_lowercase), first_label=1),
    "EMNIST/mnist": _emnist("mnist", DIGITS),
    "CIFAR10": CIFAR10,
}
