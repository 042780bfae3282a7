"""Letters of EMNIST, made of small digits."""

from pathlib import Path

from src.data.datasets import DATASETS
from src.data.idx import read_idx, write_idx


def letters(folder: Path) -> list[str]:
    """Write a folder's digits as the letters a to j, lying on their side; return the flags that name them."""
    for ours, theirs in zip(DATASETS["MNIST"].files, DATASETS["EMNIST/letters"].files, strict=True):
        values = read_idx(folder / "digits" / ours)
        turned = values.transpose(1, 2).contiguous() if values.dim() == 3 else values + 1
        write_idx(folder / "letters" / theirs, turned)
    return ["--data.dataset", "EMNIST/letters", "--data.data_dir", str(folder / "letters")]
