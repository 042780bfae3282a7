"""Everything that Lightning offers works, or is refused by name before anything is trained."""

import warnings
from inspect import signature
from pathlib import Path

import lightning.pytorch
import pytest
import torch
from lightning.pytorch import Trainer, callbacks, loggers
from lightning_utilities.core.imports import RequirementCache

from src.cli.main import main
from tests.conftest import REPOSITORY, Answer, Cli
from tests.menu.items import CALLBACKS, CB, FLAGS, LOGGERS, PROFILERS, QUIET, Item
from tests.training import checkpoint, run_folder, same

MENUS = {
    "callbacks": (CALLBACKS, callbacks.__all__),
    "loggers": (LOGGERS, loggers.__all__),
    "flags of the Trainer": (FLAGS, signature(Trainer).parameters),
}


def check(answer: Answer, says: str, tmp_path: Path) -> None:
    """It works without a word, or says one sentence and leaves nothing."""
    if says:
        assert (answer.code in (1, 2), says in answer.err) == (True, True), answer
        assert answer.code == 1 or not list(tmp_path.glob("lightning_logs/version_*"))
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
