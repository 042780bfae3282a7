"""Names of pictures, of their folders and of classes, as ``predict`` and ``data`` print and write them."""

import csv
import io
import os
import re
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from benchmarks.fuzz.commands import SMALL, run, small_data
from benchmarks.fuzz.files import Inputs
from src.cli.main import main as cli
from src.runs.checkpoint import DATA
from tests.faults.names import class_names, file_names, picture_names
from tests.faults.pictures import FILES

FORMULA = re.compile(r"[=@\uff1d\uff20\t\r\n]|[+\-\uff0b\uff0d](?![\d.]+$)")
SEVEN = FILES[0]
HERE, CLASSES = Path("here"), Path("classes")
Case = tuple[str, set[str], list[str], bool]


def try_names(data: Path) -> Inputs:
    """Pictures and classes of any names, read by a network for such classes."""
    fresh = [*SMALL, "--model.hidden_units", "[4]", "--trainer.max_epochs", "1", "--inspection.enabled", "false"]
    cli(["fit", *small_data(data), *fresh])
    content = torch.load("lightning_logs/version_0/checkpoints/last.ckpt", weights_only=True)

    def check(case: Case) -> str:
        kind, files, classes, with_sheet = case
        for folder in (HERE, CLASSES):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        return look(files) if kind == "data" else predict(files, classes, with_sheet)

    def predict(files: set[str], classes: list[str], with_sheet: bool) -> str:
        if classes:
            content[DATA]["classes"] = (classes * 10)[:10]
        else:
            content[DATA]["classes"] = [str(number) for number in range(10)]
        torch.save(content, "network.ckpt")
        for number, name in enumerate(sorted(files)):
            Path(HERE, name).write_bytes(SEVEN if number else SEVEN[:40])
        words = ["predict", "--ckpt_path", "../network.ckpt", "--images", ".", "--output", "../table.csv"]
        with chdir(HERE):
            code, lines = run([*words, *(["--sheet", "../sheet.png"] if with_sheet else [])])
            if code == 2:
                return "refused"
            shown = sum(not name.startswith(".") for name in files)
            assert len(lines) == shown + 2, lines
            check_table(Path("../table.csv"), shown)
        return "accepted"

    def look(names: set[str]) -> str:
        for name in names:
            Path(CLASSES, name).mkdir()
            for number in range(4):
                Path(CLASSES, name, f"{number}.png").write_bytes(SEVEN)
        words = ["data", "--data.dataset", "folder", "--data.data_dir", str(CLASSES), "--output", "data.png"]
        code, _ = run([*words, "--data.val_size", "0.5"])
        return "refused" if code else "accepted"

    odd = st.sets(picture_names, min_size=1, max_size=3)
    classes: st.SearchStrategy[list[str]] = st.one_of(st.just([]), st.lists(class_names, min_size=1, max_size=3))
    inputs: st.SearchStrategy[Any] = st.one_of(
        st.tuples(st.just("predict"), odd, classes, st.integers(0, 9).map(lambda number: not number)),
        st.tuples(st.just("data"), st.sets(file_names, min_size=2, max_size=3), st.just([]), st.just(False)),
    )
    return inputs, ("predict", {"a.png"}, [], True), check


def check_table(path: Path, rows: int) -> None:
    """Make sure that a table has a row for each picture, with its path and without formulas."""
    with path.open(newline="", errors="surrogateescape") as file:
        table = list(csv.reader(io.StringIO(file.read(), newline="")))
    assert len(table) == rows + 1, table
    for row in table:
        assert len(row) == len(table[0])
        assert not any(FORMULA.match(cell) for cell in row), row
    for name, *_ in table[1:]:
        assert os.path.lexists(name), name
