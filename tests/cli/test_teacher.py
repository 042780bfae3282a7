"""A convolutional teacher and its student, through the command line."""

import shutil
from pathlib import Path

import pytest
import torch

from src.model.distillation import Distillation
from tests.conftest import Cli
from tests.test_recipes import ALL
from tests.training import EPOCHS, SAVE, checkpoint, results, run_folder, same_training

CNN = ["--model.network", "cnn", "--model.hidden_units", "[8]", "--trainer.max_epochs", "1"]


@pytest.fixture
def teacher(cli: Cli, tmp_path: Path) -> str:
    """The path of a teacher outside of the runs."""
    assert cli("fit", *CNN).code == 0
    shutil.move(run_folder(tmp_path) / "checkpoints" / "best.ckpt", tmp_path / "teacher.ckpt")
    shutil.rmtree(run_folder(tmp_path))
    return str(tmp_path / "teacher.ckpt")


@pytest.mark.parametrize("recipe", [[], ALL, ["--trainer.precision", "bf16-mixed"]], ids=["plain", "all", "bf16"])
def test_a_convolutional_network_resumes_bit_for_bit_and_is_evaluated(
    recipe: list[str], cli: Cli, tmp_path: Path
) -> None:
    cli("fit", *EPOCHS, *CNN[:4], *recipe, *SAVE)
    answer = cli("fit", "--ckpt_path", str(tmp_path / "middle.ckpt"))

    assert (answer.code, answer.err) == (0, "")
    assert same_training(*(checkpoint(run_folder(tmp_path, number)) for number in (0, 1)))
    assert f"{results(run_folder(tmp_path))[-1]['val/acc']:.4f}" in cli("validate", "--ckpt_path", "last").out
    assert cli("test", "--ckpt_path", "last").err == ""


def test_a_student_learns_something_else_than_without_and_resumes_bit_for_bit(
    teacher: str, cli: Cli, tmp_path: Path
) -> None:
    cli("fit", *EPOCHS)
    taught = ["--distillation.teacher", teacher]
    cli("fit", *EPOCHS, *taught, *SAVE)
    answer = cli("fit", "--ckpt_path", str(tmp_path / "middle.ckpt"))
    alone, student, resumed = (checkpoint(run_folder(tmp_path, number)) for number in range(3))

    assert (answer.code, answer.err) == (0, "")
    assert student["state_dict"].keys() == alone["state_dict"].keys()
    assert not same_training(alone, student)
    assert same_training(student, resumed)
    assert results(run_folder(tmp_path, 1)) == results(run_folder(tmp_path, 2))

    cli("fit", *EPOCHS, *taught, "--model.steps_per_execution", "4")
    chunked = checkpoint(run_folder(tmp_path, 3))["state_dict"]
    assert all(torch.equal(weight, student["state_dict"][name]) for name, weight in chunked.items())


def test_evaluation_does_not_need_the_teacher_but_a_resumed_training_does(
    teacher: str, cli: Cli, tmp_path: Path
) -> None:
    cli("fit", "--trainer.max_epochs", "1", "--distillation.teacher", teacher)
    content = Path(teacher).read_bytes()
    Path(teacher).unlink()
    assert cli("test", "--ckpt_path", "best").code == 0
    more = ["fit", "--ckpt_path", "last", "--trainer.max_epochs", "2"]
    missing = cli(*more)
    assert missing.code == 2
    assert f"--distillation.teacher {teacher}: no such file" in missing.err

    cli("fit", *CNN, "--seed_everything", "1")
    shutil.copy(run_folder(tmp_path, 1) / "checkpoints" / "best.ckpt", teacher)
    changed = cli(*more[:2], str(run_folder(tmp_path)), *more[3:])
    assert changed.code == 2
    assert f"--distillation.teacher {teacher} has changed since" in changed.err

    (tmp_path / "copy.ckpt").write_bytes(content)
    copy = ["--distillation.teacher", str(tmp_path / "copy.ckpt")]
    assert cli(*more[:2], str(run_folder(tmp_path)), *more[3:], *copy).code == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--distillation.teacher nowhere", "nowhere: no such file or run folder; train it with fit --config"),
        ("--distillation.teacher TEACHER --distillation.temperature 0", "--distillation.temperature must be"),
        ("--distillation.teacher TEACHER --distillation.weight -1", "--distillation.weight must be"),
        ("--distillation.temperature 4", "--distillation.temperature needs a teacher"),
        ("--distillation.weight 0.5", "--distillation.weight needs a teacher"),
        ("--distillation.teacher TEACHER --data.normalization standard", "was trained with --data.normalization unit"),
        ("--distillation.teacher TEACHER --data.dataset FashionMNIST", "was trained with --data.dataset MNIST"),
        ("--distillation.teacher best", "--distillation.teacher best: name its file or its run folder"),
        ("--model.network rnn", "--model.network"),
    ],
)
def test_a_teacher_that_cannot_be_had_is_refused_by_name(
    flags: str, message: str, teacher: str, cli: Cli, tmp_path: Path
) -> None:
    answer = cli("fit", *flags.replace("TEACHER", teacher).split())

    assert answer.code == 2
    assert message in answer.err
    assert answer.err.count("\n") == 1
    assert not list(tmp_path.glob("lightning_logs/*"))


def test_a_run_folder_stands_for_the_file_that_it_had(teacher: str, cli: Cli, tmp_path: Path) -> None:
    cli("fit", *CNN)
    folder = run_folder(tmp_path)
    words = ["--trainer.max_epochs", "1", "--distillation.teacher", str(folder)]
    assert cli("fit", *words).code == 0
    best = folder / "checkpoints" / "best.ckpt"
    assert checkpoint(run_folder(tmp_path, 1))["config"]["distillation"]["teacher"] == str(best)

    best.unlink()
    shutil.copy(teacher, best)
    torch.save(torch.load(best, weights_only=True) | {"other": 1}, best)
    answer = cli("fit", "--ckpt_path", str(run_folder(tmp_path, 1)), "--trainer.max_epochs", "2", *words[2:])
    assert answer.code == 2
    assert f"--distillation.teacher {best} has changed since" in answer.err


def test_a_training_can_go_on_without_its_teacher(teacher: str, cli: Cli, tmp_path: Path) -> None:
    one = ["--trainer.max_epochs", "1", "--distillation.teacher", teacher, "--distillation.weight", "0.5"]
    cli("fit", *one)
    answer = cli("fit", "--ckpt_path", "last", "--trainer.max_epochs", "2", "--distillation.teacher", "null")

    assert (answer.code, answer.err) == (0, "")
    assert checkpoint(run_folder(tmp_path))["teacher_sha256"] == ""


def test_a_teacher_computes_as_it_was_trained(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = set()
    call = Distillation.__call__

    def spy(self: Distillation, *tensors: torch.Tensor) -> torch.Tensor:
        handle = self.network.register_forward_hook(lambda _, __, answers: kinds.add(answers.dtype))
        loss = call(self, *tensors)
        handle.remove()
        return loss

    monkeypatch.setattr(Distillation, "__call__", spy)
    for number, precision in enumerate(("32-true", "bf16-mixed")):
        cli("fit", *CNN, "--trainer.precision", precision)
        place = run_folder(tmp_path, 2 * number)
        assert cli("fit", "--trainer.max_epochs", "1", "--distillation.teacher", str(place)).code == 0
    assert kinds == {torch.float32, torch.bfloat16}
