"""The notebook runs, wherever it is started, and shows what it would show today."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.font_manager  # noqa: F401 - it builds its cache here, and need not say so in the notebook
import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from src.data.datamodule import MNISTDataModule
from src.inspection.findings import predict
from src.model.classifier import Classifier
from tests.conftest import REPOSITORY, run_process

pytestmark = pytest.mark.slow

NOTEBOOK = REPOSITORY / "notebooks" / "mnist_mlp.ipynb"
COMMITTED = nbformat.read(NOTEBOOK, as_version=4)
CHINESE = nbformat.read(REPOSITORY / "notebooks" / "mnist_mlp.zh-TW.ipynb", as_version=4)
SAVED = REPOSITORY / "lightning_logs" / "notebook"
NUMBER = r"\d[\d,]*(?:\.\d+)?"
ACCURACY = rf"(?:/acc|accuracy) ({NUMBER})"
AGAIN = "run all cells of the notebook again, from a fresh kernel, and save it"


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text(cell: NotebookNode) -> str:
    """What a cell printed, and its value; not the size of a picture, whose captions may be wider another time."""
    shown = [output.get("data", {}) for output in cell.outputs]
    printed = [output.text for output in cell.outputs if output.output_type == "stream"]
    return "".join([*printed, *(data["text/plain"] for data in shown if "image/png" not in data and data)])


def pictures(cell: NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def numbers(pattern: str, text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(pattern, text)]


def result(notebook: NotebookNode) -> float:
    return numbers(rf"test accuracy ({NUMBER})", "".join(map(text, code_cells(notebook))))[0]


def folders() -> list[Path]:
    names = (".", "notebooks", "lightning_logs")
    return [path for name in names for path in sorted((REPOSITORY / name).iterdir()) if path != SAVED]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory, mnist: Path) -> Iterator[NotebookNode]:
    """The notebook as Jupyter runs it, in its own folder, but with nobody's settings."""
    notebook = nbformat.from_dict(COMMITTED)
    for cell in code_cells(notebook):
        cell.update(outputs=[], execution_count=None)
    before = folders()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        client = NotebookClient(notebook, resources={"metadata": {"path": str(NOTEBOOK.parent)}}, startup_timeout=300)
        client.execute()
    assert folders() == before
    yield notebook
    shutil.rmtree(SAVED)


def test_it_ends_with_more_than_97_percent_and_nothing_but_its_results(executed: NotebookNode) -> None:
    assert result(executed) > 0.97
    assert "203,530" in "".join(map(text, code_cells(executed)))
    assert sum(map(pictures, code_cells(executed))) == 6
    # no warning, no tip, no bar
    assert {output.get("name", "stdout") for cell in code_cells(executed) for output in cell.outputs} == {"stdout"}


def test_its_committed_output_is_whole_and_anybodys() -> None:
    cells = code_cells(COMMITTED)
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)], AGAIN
    assert {output.get("name", "stdout") for cell in cells for output in cell.outputs} == {"stdout"}, AGAIN
    assert "error" not in {output.output_type for cell in cells for output in cell.outputs}, AGAIN
    assert not re.search(r"(?<!\w)(/\w|[A-Z]:\\)", "".join(map(text, cells))), "a path of somebody's machine"
    assert NOTEBOOK.stat().st_size < 500_000


def test_its_committed_output_is_that_of_today(executed: NotebookNode) -> None:
    for old, new in zip(code_cells(COMMITTED), code_cells(executed), strict=True):
        assert re.sub(NUMBER, "#", text(old)) == re.sub(NUMBER, "#", text(new)), AGAIN
        assert pictures(old) == pictures(new), AGAIN
        # other processors round otherwise, and ten epochs make more of it
        assert numbers(NUMBER, text(old)) == pytest.approx(numbers(NUMBER, text(new)), abs=0.03), AGAIN
        assert numbers(ACCURACY, text(old)) == pytest.approx(numbers(ACCURACY, text(new)), abs=0.01), AGAIN


def test_it_trains_as_the_command_line_does(executed: NotebookNode, mnist_run: Path) -> None:
    epochs = json.loads((mnist_run / "result.json").read_text())["epochs"]
    printed = "".join(map(text, code_cells(executed)))
    for stage in ("train/loss", "train/acc", "val/loss", "val/acc"):
        here = numbers(rf"{stage} ({NUMBER})", printed)
        assert len(here) == 15  # ten, two more, and three of another network
        assert here[: len(epochs)] == pytest.approx([epoch[stage] for epoch in epochs], abs=2e-4)


def test_a_network_with_dropout_gives_the_same_answers_twice_and_its_file_is_read(executed: NotebookNode) -> None:
    commands = [line for cell in executed.cells for line in re.findall(r"^python -m src.cli (.*)$", cell.source, re.M)]
    predicted, exported, served = (
        run_process(*command.split()) for command in [*commands[:2], f"{commands[2]} --help"]
    )

    assert [answer.code for answer in (predicted, exported, served)] == [0, 0, 0], predicted.err + exported.err
    assert re.search(r"marker\.gif +6", predicted.out)
    assert "all 10,000 test images of MNIST get the answers of" in exported.out  # of raw pixels, by the file itself
    model = Classifier(hidden_units=[50], dropout=0.5)
    model.train()
    data = MNISTDataModule()
    data.setup("test")
    one, other = (predict(model, data.splits["test"], data).probabilities for _ in range(2))
    assert one.equal(other)
    assert model.training


def test_the_chinese_notebook_has_the_same_cells_in_its_own_words() -> None:
    assert [cell.cell_type for cell in CHINESE.cells] == [cell.cell_type for cell in COMMITTED.cells]
    for cell, chinese in zip(COMMITTED.cells, CHINESE.cells, strict=True):
        assert (cell.source == chinese.source) == (cell.cell_type == "code")
        if cell.cell_type == "code":
            assert cell.outputs == chinese.outputs
        else:
            assert re.search("[\u4e00-\u9fff]", chinese.source)


@pytest.mark.parametrize("folder", [".", "notebooks"])
@pytest.mark.usefixtures("mnist")
def test_it_finds_code_and_images_from_both_folders(folder: str) -> None:
    sources = [cell.source for cell in code_cells(COMMITTED)]
    start = sources[: next(number for number, source in enumerate(sources) if "data.setup" in source) + 1]
    # -P leaves out the working folder, which -c would add by itself
    command = [sys.executable, "-P", "-c", "\n".join([*start, "print(data.files[0])"])]
    done = subprocess.run(command, cwd=REPOSITORY / folder, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert (REPOSITORY / done.stdout.strip()).is_relative_to(REPOSITORY / "data")
