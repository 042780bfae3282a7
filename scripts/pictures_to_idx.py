"""Makes the four IDX files that ``--data.data_dir`` takes of pictures, a folder for each class.

python -m scripts.pictures_to_idx pictures my_data

reads pictures/3/x.png and so on: the folders in the order of their names are the classes 0, 1, ... Each picture is
framed as MNIST's are, as ``predict`` does it too; a sixth of them, drawn at random, is for the test.
"""

import argparse
import random
import sys
from pathlib import Path

import torch

from src.common.pictures import PictureError
from src.data.datasets import DATASETS
from src.data.idx import write_idx
from src.data.pictures import is_litter
from src.digits.frame import read_digit

TEST_SHARE = 6  # MNIST tests on 10,000 of 70,000


def convert(source: Path, target: Path) -> str:
    """Write the files.

    Args:
        source: The folder with a folder of pictures for each class.
        target: The folder for the files.

    Returns:
        What was found, in words.

    Raises:
        ValueError: If there are too few pictures, or one cannot be read; it names the place.
        OSError: If a folder cannot be read or a file not be written.
    """
    classes = sorted(folder for folder in source.iterdir() if folder.is_dir() and not is_litter(folder))
    samples = [
        (path, label)
        for label, folder in enumerate(classes)
        for path in sorted(folder.iterdir())
        if not is_litter(path)
    ]
    test = len(samples) // TEST_SHARE
    if not test:
        raise ValueError(f"{source} has {len(samples)} pictures in folders: give a folder of pictures for each class.")
    random.Random(0).shuffle(samples)
    images, labels = torch.empty(len(samples), 28, 28, dtype=torch.uint8), torch.empty(len(samples), dtype=torch.uint8)
    for number, (path, label) in enumerate(samples):
        try:
            images[number], labels[number] = read_digit(path), label
        except PictureError as error:
            raise ValueError(f"{path}: {error}; mend or remove it.") from error
    parts = (images[test:], labels[test:], images[:test], labels[:test])
    for name, values in zip(DATASETS["MNIST"].files, parts, strict=True):
        write_idx(target / name, values)
    names = ", ".join(f"{label} = {folder.name}" for label, folder in enumerate(classes))
    return f"{target}: {len(samples) - test:,} training and {test:,} test images; classes: {names}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Make the four IDX files that --data.data_dir takes of pictures.", allow_abbrev=False
    )
    parser.add_argument("source", type=Path, help="the folder with a folder of pictures for each class")
    parser.add_argument("target", type=Path, help="the folder for the files")
    try:
        print(convert(**vars(parser.parse_args())))
    except (ValueError, OSError) as problem:
        sys.exit(f"error: {problem}")
