"""CIFAR-10's binary files, made here in their format: downloaded, read, refused, and through every command."""

import csv
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision

from src.cli.main import main
from src.common.errors import RunError, UsageError
from src.data import downloads
from src.data.checks import RECORD
from src.data.datamodule import MNISTDataModule
from src.data.datasets import DATASETS
from src.data.provenance import source_of
from src.data.sources import place_files
from tests.pictures import draw_picture
from tests.training import run_folder

FILES, CLASSES = DATASETS["CIFAR10"].files, DATASETS["CIFAR10"].classes
LOOKS = {"airplane": "red disc", "cat": "green square", "truck": "blue disc"}
EACH = 12  # pictures of each class in a file


def records(part: int, count: int = EACH) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures ``(N, 32, 32, 3)`` of three classes and their labels, one of each class after the other."""
    images = [draw_picture(look, 32, 100 * part + number) for number in range(count) for look in LOOKS.values()]
    labels = [CLASSES.index(name) for _ in range(count) for name in LOOKS]
    return np.stack([np.asarray(image) for image in images]), np.array(labels, np.uint8)


def as_published(part: int) -> bytes:
    """Return a file: of each picture its label, its red pixels, its green and its blue ones."""
    return b"".join(
        bytes([label]) + b"".join(image[..., colour].tobytes() for colour in range(3))
        for image, label in zip(*records(part), strict=True)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("cifar"))


def write(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for part, name in enumerate(FILES):
        (folder / name).write_bytes(as_published(part))
    return folder


def archive_of(folder: Path, *, without: str = "") -> bytes:
    """Return the archive, with what nobody asked for in it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in (*FILES, "batches.meta.txt", "../../outside.txt"):
            data = (folder / name).read_bytes() if name in FILES else b"airplane\n"
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            if name != without:
                archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes, bytes], None]:
    """Let a download bring some bytes, where those of another archive are known."""

    def set_up(known: bytes, came: bytes) -> None:
        def download_url(url: str, root: str, filename: str) -> None:
            assert url.endswith("cifar-10-binary.tar.gz")
            Path(root, filename).write_bytes(came)

        monkeypatch.setattr(downloads, "CIFAR10_SHA256", hashlib.sha256(known).hexdigest())
        monkeypatch.setattr(torchvision.datasets.utils, "download_url", download_url)

    return set_up


def ready(folder: Path, **settings: Any) -> MNISTDataModule:
    data = MNISTDataModule("CIFAR10", str(folder), batch_size=8, **{"val_size": 0.2, **settings})
    data.setup("fit")
    data.setup("test")
    return data


@pytest.mark.parametrize("unpacked", [False, True])
def test_pictures_and_labels_are_those_of_the_files(unpacked: bool, tmp_path: Path) -> None:
    write(tmp_path / "cifar-10-batches-bin" if unpacked else tmp_path)
    data = ready(tmp_path)
    images, labels = (np.concatenate(parts) for parts in zip(*map(records, range(5)), strict=True))

    assert (data.classes, data.image_shape) == (CLASSES, (32, 32, 3))
    assert {name: len(split.members) for name, split in data.splits.items()} == {"train": 144, "val": 36, "test": 36}
    assert np.array_equal(data.splits["train"].file_images.numpy(), images)
    assert np.array_equal(data.splits["train"].file_labels.numpy(), labels)
    assert np.array_equal(data.splits["test"].images.numpy(), records(5)[0])


def test_the_archive_is_downloaded_once_and_only_what_is_needed_is_taken(
    folder: Path, tmp_path: Path, offer: Callable[[bytes, bytes], None]
) -> None:
    archive = archive_of(folder)
    offer(archive, archive)
    root = tmp_path / "project" / "data"
    paths = place_files("CIFAR10", root)

    assert paths == [root / "cifar-10-batches-bin" / name for name in FILES]
    assert [path.read_bytes() for path in paths] == [(folder / name).read_bytes() for name in FILES]
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {*FILES, RECORD, ".lock"}
    assert source_of(paths[0], "CIFAR10") == f"placed from {downloads.CIFAR10_ARCHIVE}, SHA-256 checked"
    offer(archive, b"")
    assert place_files("CIFAR10", root) == paths
    offer(archive, archive)
    paths[2].write_bytes(paths[1].read_bytes())
    assert place_files("CIFAR10", root)[2].read_bytes() == (folder / FILES[2]).read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "incomplete"])
def test_a_damaged_archive_is_one_sentence_and_leaves_nothing(
    damage: str, folder: Path, tmp_path: Path, offer: Callable[[bytes, bytes], None]
) -> None:
    archive = archive_of(folder)
    flipped = archive[:500] + bytes([archive[500] ^ 1]) + archive[501:]
    incomplete = archive_of(folder, without=FILES[3])
    came = {"truncated": archive[:-900], "flipped": flipped, "incomplete": incomplete}[damage]
    offer(came if damage == "incomplete" else archive, came)

    with pytest.raises(RunError, match=r"CIFAR10 could not be placed in .*: name a folder that has its files") as error:
        place_files("CIFAR10", tmp_path)
    reason = f"{FILES[3]} cannot be read" if damage == "incomplete" else "another SHA-256 than the published archive"
    assert reason in str(error.value) and "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes, not whole images of CIFAR10"),
        (lambda path: path.write_bytes(b""), "has 0 bytes, not whole images of CIFAR10"),
        (lambda path: path.write_bytes(b"\x0a" + path.read_bytes()[1:]), "has the label 10: the classes of CIFAR10 go"),
        (lambda path: path.unlink(), "is missing: `data_dir` needs all 6 files of CIFAR10."),
    ],
)
@pytest.mark.parametrize("name", [FILES[2], FILES[5]])
def test_a_damaged_file_is_one_sentence(name: str, spoil: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    spoil(write(tmp_path) / name)
    with pytest.raises(UsageError) as refused:
        ready(tmp_path)
    assert str(tmp_path / name) in str(refused.value) and says in str(refused.value)


def test_a_compressed_file_is_called_that(tmp_path: Path) -> None:
    path = write(tmp_path) / FILES[2]
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    with pytest.raises(UsageError, match=rf"^{path}.gz is compressed, .*: unpack it with gunzip.$"):
        ready(tmp_path)


def test_they_are_not_mapped(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"^`memory_map` is not for CIFAR10"):
        ready(folder, memory_map=True)


@pytest.mark.slow
def test_every_command_takes_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = ["--data.dataset", "CIFAR10", "--data.data_dir", str(folder), "--data.val_size", "0.2"]
    network = ["--model.network", "cnn", "--model.hidden_units", "[16]", "--model.lr", "0.003"]
    place = ["--trainer.accelerator", "cpu", "--trainer.max_epochs", "6", "--data.batch_size", "24"]
    assert main(["data", *data, "--output", "sheet.png"]) == 0
    assert "CIFAR10: 144 train, 36 val, 36 test" in capsys.readouterr().out
    assert main(["fit", *data, *network, *place]) == 0
    assert main(["test", "--ckpt_path", "best"]) == 0
    assert main(["export", "--ckpt_path", "best", "--output", "network.pt2"]) == 0
    result = json.loads((run_folder(tmp_path) / "test.json").read_text())
    assert result["samples"] == 36 and result["correct"] > 18
    assert len(json.loads((run_folder(tmp_path) / "result.json").read_text())["data"]["sha256"]) == 6

    for number, (look, name) in enumerate(zip(LOOKS.values(), LOOKS, strict=True)):
        draw_picture(look, 32, 500 + number).save(f"{name}.png")
    assert main(["predict", "--ckpt_path", "best", "--images", ".", "--output", "answers.csv"]) == 0
    with Path("answers.csv").open(newline="") as file:
        rows = {Path(row["path"]).stem: row for row in csv.DictReader(file)}
    assert {*rows["cat"]} >= {f"p{name}" for name in CLASSES}
    assert sum(rows[name]["digit"] == name for name in LOOKS) >= 2
    capsys.readouterr()
    assert main(["serve", "--ckpt_path", "best"]) == 2
    assert "was trained on CIFAR10 with 10 classes, airplane to truck; serve needs" in capsys.readouterr().err
