"""MNIST and its family: what their files and classes are called."""

import string
from dataclasses import dataclass
from typing import Literal

DatasetName = Literal[
    "MNIST",
    "arrays",
    "folder",
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
MERGED_LETTERS = set("cijklmopsuvwxyz")  # EMNIST: small letters that look like their capitals
ALL_CHARACTERS = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)
DISTINCT_CHARACTERS = tuple(character for character in ALL_CHARACTERS if character not in MERGED_LETTERS)
DIGITS = tuple(string.digits)


@dataclass(frozen=True)
class Dataset:
    """One data set of the family.

    Attributes:
        folder: Its folder as torchvision names it, in which ``raw`` holds the files.
        files: Training images, training labels, test images, test labels.
        classes: The classes' names; a label is a position in them.
        first_label: The number in the files that stands for the first class.
        transposed: Whether images lie on their side in the files (EMNIST's were written column by column).
    """

    folder: str
    files: tuple[str, str, str, str]
    classes: tuple[str, ...]
    first_label: int = 0
    transposed: bool = False


def _named(prefix: str = "", test: str = "t10k", labels: str = "labels-idx1-ubyte") -> tuple[str, str, str, str]:
    train, test = f"{prefix}train", f"{prefix}{test}"
    return f"{train}-images-idx3-ubyte", f"{train}-{labels}", f"{test}-images-idx3-ubyte", f"{test}-{labels}"


def _emnist(split: str, classes: tuple[str, ...], first_label: int = 0) -> Dataset:
    return Dataset("EMNIST", _named(f"emnist-{split}-", "test"), classes, first_label, transposed=True)


FASHION = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
DATASETS: dict[DatasetName, Dataset] = {
    "MNIST": Dataset("MNIST", _named(), DIGITS),
    "FashionMNIST": Dataset("FashionMNIST", _named(), FASHION),
    "KMNIST": Dataset("KMNIST", _named(), KANA),
    "QMNIST": Dataset("QMNIST", _named("qmnist-", "test", "labels-idx2-int"), DIGITS),
    "EMNIST/balanced": _emnist("balanced", DISTINCT_CHARACTERS),
    "EMNIST/byclass": _emnist("byclass", ALL_CHARACTERS),
    "EMNIST/bymerge": _emnist("bymerge", DISTINCT_CHARACTERS),
    "EMNIST/digits": _emnist("digits", DIGITS),
    "EMNIST/letters": _emnist("letters", tuple(string.ascii_lowercase), first_label=1),
    "EMNIST/mnist": _emnist("mnist", DIGITS),
}
