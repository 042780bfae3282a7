"""Everything that Lightning offers works, or is refused by name before anything is trained."""

import socket
import warnings
from inspect import signature
from pathlib import Path
from typing import Any

import lightning.pytorch
import pytest
import torch
from lightning.pytorch import Callback, Trainer, callbacks, loggers
from lightning_utilities.core.imports import RequirementCache
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from src.cli.main import main
from src.model.classifier import Classifier
from src.runs.checkpoint import Checkpoint
from tests.conftest import REPOSITORY, Answer, Cli, run_process
from tests.menu import CALLBACKS, FLAGS, LOGGERS, PROFILERS, Item
from tests.test_cli import checkpoint, run_folder
from tests.test_optimizers import same

QUIET = ("--inspection.enabled", "false", "--model.hidden_units", "[8]", "--trainer.max_epochs", "2")
MENUS = {
    "callbacks": (CALLBACKS, callbacks.__all__),
    "loggers": (LOGGERS, loggers.__all__),
    "flags of the Trainer": (FLAGS, signature(Trainer).parameters),
}
CB = "--trainer.callbacks"


def kept(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "lightning_logs").glob("version_*")]


def check(answer: Answer, says: str, tmp_path: Path) -> None:
    """It works without a word, or says one sentence and leaves nothing."""
    if says:
        assert (answer.code in (1, 2), says in answer.err) == (True, True), answer
        assert answer.code == 1 or kept(tmp_path) == []
        assert "Traceback" not in answer.err
    else:
        assert answer.code == 0, answer


@pytest.mark.filterwarnings("ignore::Warning")  # what Lightning and its loggers warn of is theirs to mend
@pytest.mark.parametrize(
    ("words", "item"),
    [
        *(((f"{CB}+={name}", *item.words), item) for name, item in CALLBACKS.items()),
        *(((f"--trainer.logger={name}", *item.words), item) for name, item in LOGGERS.items()),
        *(((f"--trainer.profiler={name}",), item) for name, item in PROFILERS.items()),
        *(((f"--trainer.{name}={item.words[0]}", *item.words[1:]), item) for name, item in FLAGS.items() if item.words),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_is_offered_works_or_is_refused_by_name(
    words: tuple[str, ...],
    item: Item,
    cli: Cli,
    tmp_path: Path,
    plain: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", RequirementCache("wandb>=999"))
    answer = cli("fit", *QUIET, *words, "--trainer.max_epochs=3")
    check(answer, item.says, tmp_path)
    assert item.shows in answer.out + answer.err + caplog.text
    if not item.says and item.keeps:
        whole = checkpoint(run_folder(tmp_path))
        assert same(whole["state_dict"], plain) == (not item.changes)
        goes_on = stop_and_go_on(words, cli, tmp_path)
        assert item.again in goes_on.err and (goes_on.code == 0) == (not item.again), goes_on
        if not item.again:
            parts = ("state_dict", "optimizer_states", "global_step", "epoch")
            resumed = checkpoint(run_folder(tmp_path, 1))
            assert [part for part in parts if not same(whole[part], resumed[part])] == []
    if not item.says and item.alone:
        several = cli(
            "fit", *QUIET, *words, "--model.steps_per_execution", "3", "--trainer.default_root_dir", "several"
        )
        check(several, item.alone, tmp_path / "several")


def stop_and_go_on(words: tuple[str, ...], cli: Cli, tmp_path: Path) -> Answer:
    """Train two of three epochs, as if it were then killed, and the third one from the checkpoint."""
    assert cli("fit", *QUIET, *words, "--trainer.max_epochs=2").code == 0
    return cli("fit", "--ckpt_path", str(run_folder(tmp_path, 1)), *words, "--trainer.max_epochs=3")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> dict[str, torch.Tensor]:
    """The weights of the same training with nothing of the menu."""
    root = tmp_path_factory.mktemp("plain")
    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    place = ["--trainer.default_root_dir", str(root), "--trainer.accelerator", "cpu", "--trainer.max_epochs", "3"]
    assert main(["fit", *data, *QUIET, *place]) == 0
    return checkpoint(root / "lightning_logs" / "version_0")["state_dict"]


@pytest.mark.filterwarnings("default:new in Lightning")
@pytest.mark.parametrize("menu", MENUS)
def test_the_page_has_all_that_lightning_offers(menu: str) -> None:
    known, offered = MENUS[menu]
    page = (REPOSITORY / "docs" / "lightning.md").read_text()

    for name, item in known.items():
        assert f"| `{name}` | {item.meaning} |" in page
    if new := set(offered) - known.keys():
        warnings.warn(f"new in Lightning {lightning.__version__}: {', '.join(sorted(new))}", stacklevel=1)


def test_a_checkpoint_callback_has_a_folder_of_its_own(cli: Cli, tmp_path: Path) -> None:
    """ModelCheckpoint's last.ckpt and best.ckpt do not take the place of the run's."""
    second = [f"{CB}+=ModelCheckpoint", f"{CB}.save_weights_only=true", f"{CB}.save_last=true", f"{CB}.filename=best"]
    assert cli("fit", *QUIET, *second, f"{CB}.every_n_train_steps=2").code == 0
    run = run_folder(tmp_path)

    assert {path.name for path in (run / "model_checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert Checkpoint.read(run / "checkpoints" / "last.ckpt").epochs == 2
    more = ["--trainer.max_epochs", "3", CB, "null"]
    assert cli("fit", "--ckpt_path", str(run), *more).code == 0


def test_a_metric_in_a_file_name_makes_no_folders(cli: Cli, tmp_path: Path) -> None:
    second = [f"{CB}+=ModelCheckpoint", f"{CB}.filename={{epoch}}-{{val/loss:.2f}}"]
    refused = cli("fit", *QUIET, *second)
    assert refused.err.endswith(f"has a slash: add {CB}.auto_insert_metric_name=false.\n")

    assert cli("fit", *QUIET, *second, f"{CB}.auto_insert_metric_name=false").code == 0
    (path,) = (run_folder(tmp_path) / "model_checkpoints").iterdir()
    assert path.name.startswith("1-") and path.suffix == ".ckpt"


def test_a_port_that_is_taken_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("MASTER_PORT", str(port))

        def fail(*_: object, **__: object) -> None:
            store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
            raise AssertionError(store)

        monkeypatch.setattr(Classifier, "setup", fail)
        answer = cli("fit", *QUIET)

    assert answer.err == f"error: MASTER_PORT {port} is used by another program: take another.\n"
    assert kept(tmp_path) == []


class Unwritable(Callback):
    """Made of what no config can hold."""

    def __init__(self, value: Any = object()) -> None:  # noqa: B008
        pass


@pytest.mark.filterwarnings(r"ignore:\s*Unable to serialize instance")
def test_a_config_that_cannot_be_written_is_refused(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *QUIET, f"{CB}+=tests.test_menu.Unwritable")

    assert (answer.code, answer.err) == (2, "error: value has a value that no config can hold: give plain values.\n")
    assert kept(tmp_path) == []


def test_a_checkpoint_callback_may_not_write_into_the_checkpoints_of_a_run(cli: Cli, own_run: Path) -> None:
    folder = own_run / "checkpoints"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    answer = cli("fit", *QUIET, f"{CB}+=ModelCheckpoint", f"{CB}.dirpath={folder}")

    assert answer.code == 2
    assert answer.err.startswith(f"error: {CB}.dirpath {folder} has the checkpoints of a run")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not (own_run.parent / "version_1").exists()


class Images(Callback):
    """Keeps the positions of the batches of each epoch."""

    seen: list[list[int]]

    def __init__(self) -> None:
        Images.seen = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: object, batch: Any, batch_idx: int) -> None:
        Images.seen.append(batch.positions.tolist())


@pytest.mark.filterwarnings("ignore:You requested to overfit:UserWarning")
def test_overfit_batches_are_the_same_in_every_epoch(cli: Cli) -> None:
    words = ["--trainer.overfit_batches", "2", "--trainer.max_epochs", "3", f"{CB}+=tests.test_menu.Images"]
    assert cli("fit", "--inspection.enabled", "false", *words).code == 0

    first = Images.seen[:2]
    assert first[0] != first[1]
    assert Images.seen == first * 3


@pytest.mark.filterwarnings("ignore:You requested to overfit:UserWarning")
def test_one_batch_is_learned_by_heart(cli: Cli) -> None:
    words = ["--trainer.overfit_batches", "1", "--trainer.max_epochs", "60", "--inspection.enabled", "false"]
    assert "acc: 1.0000" in cli("fit", *words).out.splitlines()[-6]


def test_a_flag_of_a_callback_wins_over_its_saved_state(cli: Cli, tmp_path: Path) -> None:
    """With a patience of 0 the second epoch would end it."""
    stop = [f"{CB}+=EarlyStopping", f"{CB}.monitor=val/loss", f"{CB}.min_delta=9"]
    assert "Trained 2 of 4 epochs" in cli("fit", *QUIET, *stop, f"{CB}.patience=1", "--trainer.max_epochs", "4").out
    answer = cli("fit", "--ckpt_path", "last", *stop, f"{CB}.patience=10", "--trainer.max_epochs", "6")

    assert (answer.code, "Trained 6 epochs" in answer.out) == (0, True), answer


class Fails(Callback):
    """Fails in a hook before the first batch."""

    def on_fit_start(self, trainer: Trainer, pl_module: object) -> None:
        raise KeyError("mine")


def test_a_callback_that_fails_at_the_start_is_named_and_leaves_no_run(cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", *QUIET, f"{CB}+=tests.test_menu.Fails")

    assert answer.code == 2
    assert answer.err == f"error: {CB}: Fails cannot be used here (KeyError: 'mine').\n"
    assert kept(tmp_path) == []


class Breaks(Callback):
    """Fails later: a mistake of its author, who needs the traceback."""

    def on_train_batch_end(self, *_: object) -> None:
        raise KeyError("mine")


def test_a_mistake_in_a_callback_of_ones_own_has_its_traceback(cli: Cli) -> None:
    with pytest.raises(KeyError, match="mine"):
        cli("fit", *QUIET, f"{CB}+=tests.test_menu.Breaks")


def test_variables_that_lightning_reads_are_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_TRAINER_MAX_EPOCHS", "3")
    answer = cli("fit", *QUIET)

    assert answer.code == 2
    assert answer.err == "error: PL_TRAINER_MAX_EPOCHS is not read here: unset it, and use --trainer.max_epochs 3.\n"


def test_half_precision_on_the_processor_does_not_blame_the_learning_rate(cli: Cli) -> None:
    answer = cli("fit", "--inspection.enabled", "false", "--trainer.precision", "16-true")

    assert answer.code == 1
    assert answer.err.endswith("it is not saved. Try --trainer.precision bf16-true.\n")


def test_what_lightning_says_for_a_person_is_shown_and_its_chatter_is_not(digits: Path, tmp_path: Path) -> None:
    data = ["--data.data_dir", str(digits), "--data.val_size", "60", "--data.batch_size", "32"]
    stop = [f"{CB}+=EarlyStopping", f"{CB}.monitor=val/loss", f"{CB}.verbose=true"]
    answer = run_process("fit", *data, *QUIET, *stop, "--trainer.accelerator", "cpu", cwd=tmp_path)

    assert answer.code == 0
    assert all("val/loss improved" in line for line in answer.err.splitlines()) and answer.err


def test_weights_are_those_without_the_callbacks(cli: Cli, tmp_path: Path) -> None:
    beside = [f"{CB}+=ModelCheckpoint", f"{CB}+=LearningRateMonitor", f"{CB}+=TQDMProgressBar"]
    cli("fit", *QUIET)
    cli("fit", *QUIET, *beside)

    plain, watched = (checkpoint(run_folder(tmp_path, number))["state_dict"] for number in (0, 1))
    assert all(torch.equal(value, watched[name]) for name, value in plain.items())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of what torch.compile imports
def test_a_compiled_network_has_the_same_checkpoints(cli: Cli, tmp_path: Path) -> None:
    assert cli("fit", *QUIET, "--model.compile", "true").code == 0
    assert cli("fit", *QUIET).code == 0

    compiled, plain = (checkpoint(run_folder(tmp_path, number))["state_dict"] for number in (0, 1))
    assert compiled.keys() == plain.keys()
    assert all(torch.allclose(value, compiled[name], atol=1e-4) for name, value in plain.items())
    more = ["--trainer.max_epochs", "3", "--model.compile", "false"]
    assert cli("fit", "--ckpt_path", str(run_folder(tmp_path)), *more).code == 0
    assert cli("test", "--ckpt_path", str(run_folder(tmp_path))).code == 0


def test_without_a_compiler_it_is_said_at_the_start(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.cli.refusals.shutil.which", lambda name: None)
    answer = cli("fit", *QUIET, "--model.compile", "true")

    assert answer.err == (
        "error: --model.compile true needs a C++ compiler, and none is found: install g++, or leave it out.\n"
    )
