"""What 1, 2, 3 and 4 processes do, for the tests beside this file to look at.

``python -m tests.devices.scenarios ROOT DIGITS DATA`` runs all of them in forked processes and leaves ``NAME.pt``.
"""

import gc
import os
import sys
import traceback
from pathlib import Path
from typing import Any, cast

import torch

import src.cli.fit
import src.data.sources
from src.model.classifier import Classifier
from tests.devices.disturbances import ended_evaluation, failures, refusals, resuming
from tests.devices.study import QUIET, VARIANTS, WORLD_SIZES, Study, record, recorded


def training(study: Study) -> dict[str, Any]:
    """One epoch of every variant."""
    found: dict[str, Any] = {}
    for variant, words in VARIANTS.items():
        for world_size in WORLD_SIZES:
            name = f"{variant}{world_size}"
            request = study.fit(name, *words, "--trainer.max_epochs", "1")
            ranks = study.run(world_size, name, request, record(study.root / name / "record"))
            found[name] = {
                "weights": study.checkpoint(name)["state_dict"],
                "epoch": study.checkpoint(name)["callbacks"]["History"]["epochs"][0],
                "record": recorded(study.root / name / "record", world_size),
                "wrote": [rank["wrote"] for rank in ranks],
                "root": str(study.root / name),
            }
    return found


def evaluation(study: Study) -> dict[str, Any]:
    """Validate and test, on the small data and on the real."""
    found: dict[str, Any] = {}
    study.run(1, "mnist", ["fit", *QUIET, "--data.data_dir", str(study.data), "--trainer.max_epochs", "1",
                           "--trainer.default_root_dir", str(study.root / "mnist")])  # fmt: skip
    study.run(1, "small", study.fit("small", "--trainer.max_epochs", "2"))
    for name in ("mnist", "small"):
        run = study.root / name / "lightning_logs" / "version_0"
        for command in ("validate", "test"):
            for world_size in WORLD_SIZES:
                words = [command, "--ckpt_path", str(run), "--trainer.accelerator", "cpu"]
                if (name, command) != ("small", "validate"):
                    words += ["--inspection.enabled", "false"]
                folder = study.root / f"{name} {command}"
                ranks = study.run(world_size, folder.name, words, record(folder / f"record{world_size}"))
                found[f"{name} {command} {world_size}"] = {
                    "result": (run / f"{command}.json").read_text(),
                    "record": recorded(folder / f"record{world_size}", world_size),
                    "out": [rank["out"] for rank in ranks],
                }
    return found


def stopping(study: Study) -> dict[str, Any]:
    """Early stopping: how many epochs each rank has trained."""
    stop = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/acc"]
    stop += ["--trainer.callbacks.mode=max", "--trainer.callbacks.patience=1", "--trainer.max_epochs", "30"]

    def before(rank: int) -> None:
        Classifier.on_fit_end = lambda self: print("epochs", cast(Classifier, self).current_epoch)

    return {
        f"{world_size}": [rank["out"] for rank in study.run(world_size, f"stop{world_size}", words, before)]
        for world_size in WORLD_SIZES
        for words in [study.fit(f"stop{world_size}", *stop)]
    }


def placing(study: Study) -> dict[str, Any]:
    """Three processes start where there is no data yet."""
    folder = study.root / "placing"
    folder.mkdir()

    def before(rank: int) -> None:
        os.chdir(folder)
        for source, (datasets, fetch) in list(src.data.sources.SOURCES.items()):

            def noted(*args: Any, source: str = source, fetch: Any = fetch) -> None:
                print("fetched from", source)
                fetch(*args)

            src.data.sources.SOURCES[source] = (datasets, noted)

    words = ["fit", *QUIET, "--trainer.limit_train_batches", "2", "--trainer.max_epochs", "1"]
    return {"out": [rank["out"] for rank in study.run(3, "placing", words, before)]}


SCENARIOS = (training, evaluation, stopping, resuming, refusals, failures, ended_evaluation, placing)

if __name__ == "__main__":
    gc.freeze()  # no fork has to look through what was imported
    root, digits, data = map(Path, sys.argv[1:4])
    for scenario in SCENARIOS:
        if sys.argv[4:] and scenario.__name__ not in sys.argv[4:]:
            continue
        (root / scenario.__name__).mkdir()
        try:
            found: dict[str, Any] = scenario(Study(root / scenario.__name__, digits, data))
        except Exception:
            found = {"traceback": traceback.format_exc()}
        torch.save(found, root / f"{scenario.__name__}.pt")
