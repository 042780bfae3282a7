"""1, 2, 3 and 4 processes compute the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.devices.conftest import Study
from tests.devices.study import VARIANTS, WORLD_SIZES

SEVERAL = [size for size in WORLD_SIZES if size > 1]
TRAIN, BATCH = 171, 17  # the last batch has one sample


def differences(one: dict[str, Any], several: dict[str, Any]) -> torch.Tensor:
    names = one["weights"]
    return torch.cat([(one["weights"][name] - several["weights"][name]).abs().flatten() for name in names])


@pytest.mark.parametrize("world_size", SEVERAL)
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "float32"])
def test_in_double_precision_the_weights_are_those_of_one_process(study: Study, variant: str, world_size: int) -> None:
    found = study("training")

    assert differences(found[f"{variant}1"], found[f"{variant}{world_size}"]).max() < 1e-9


@pytest.mark.parametrize("variant", ["accumulated", "clipped", "own"])
def test_the_variants_are_variants(study: Study, variant: str) -> None:
    found = study("training")

    assert differences(found["plain1"], found[f"{variant}1"]).max() > 1e-4


@pytest.mark.parametrize("world_size", SEVERAL)
def test_in_single_precision_they_differ_by_the_order_of_summation(study: Study, world_size: int) -> None:
    found = study("training")
    differs = differences(found["float321"], found[f"float32{world_size}"])

    assert differs.mean() < 1e-6
    assert differs.max() < 3e-4


@pytest.mark.parametrize("world_size", SEVERAL)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_metrics_are_those_of_all_samples(study: Study, variant: str, world_size: int) -> None:
    one, several = (study("training")[f"{variant}{size}"]["epoch"] for size in (1, world_size))

    names = [name for name in one if name.startswith(("train/", "val/"))]
    assert {"train/loss", "train/acc", "val/loss", "val/acc"} <= set(names)
    assert ("val/f1" in names) == (variant == "own")
    for name in names:
        assert several[name] == pytest.approx(one[name], rel=1e-6)


@pytest.mark.parametrize("world_size", SEVERAL)
@pytest.mark.parametrize("variant", ["plain", "executions"])
def test_the_shards_of_a_batch_are_the_batch(study: Study, variant: str, world_size: int) -> None:
    found = study("training")
    whole = [batch["positions"] for batch in found[f"{variant}1"]["record"][0]["batches"]]
    ranks = [[batch["positions"] for batch in rank["batches"]] for rank in found[f"{variant}{world_size}"]["record"]]

    assert len(whole) == -(-TRAIN // BATCH)
    assert sorted(torch.cat(whole).tolist()) == list(range(TRAIN))
    for number, batch in enumerate(whole):
        shards = [rank[number] for rank in ranks]
        sizes = [len(shard) for shard in shards]
        assert torch.cat(shards).tolist() == batch.tolist()
        assert max(sizes) - min(sizes) <= 1
    assert min(len(rank[-1]) for rank in ranks) == 0


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("world_size", SEVERAL)
def test_only_the_first_rank_writes_and_each_folder_once(study: Study, variant: str, world_size: int) -> None:
    found = study("training")[f"{variant}{world_size}"]
    first, *others = ([path for path in paths if path.startswith(found["root"])] for paths in found["wrote"])

    assert any(path.endswith("last.ckpt") for path in first)
    assert others == [[]] * (world_size - 1)
    assert {path.name for path in (Path(found["root"]) / "lightning_logs").iterdir()} == {"version_0"}


@pytest.mark.parametrize("world_size", SEVERAL)
@pytest.mark.parametrize("command", ["validate", "test"])
@pytest.mark.parametrize(
    ("data", "samples"), [("mnist", {"validate": 12_000, "test": 10_000}), ("small", {"validate": 59, "test": 70})]
)
def test_evaluation_counts_every_sample_once(
    study: Study, data: str, samples: dict[str, int], command: str, world_size: int
) -> None:
    one, several = (study("evaluation")[f"{data} {command} {size}"] for size in (1, world_size))
    expected, result = json.loads(one["result"]), json.loads(several["result"])
    stage = {"validate": "val", "test": "test"}[command]
    confusion = [sum(rank["confusion"][stage] for rank in found["record"]) for found in (one, several)]

    assert (result["samples"], result["devices"]) == (samples[command], world_size)
    assert (result["correct"], result[f"{stage}/acc"]) == (expected["correct"], expected[f"{stage}/acc"])
    assert result[f"{stage}/loss"] == pytest.approx(expected[f"{stage}/loss"], rel=1e-6)
    assert confusion[0].sum() == samples[command]
    assert torch.equal(*confusion)
    assert several["out"][1:] == [""] * (world_size - 1)


@pytest.mark.parametrize("world_size", WORLD_SIZES)
def test_early_stopping_ends_all_ranks_in_the_same_epoch(study: Study, world_size: int) -> None:
    found = study("stopping")
    epochs = {
        text
        for size in ("1", str(world_size))
        for out in found[size]
        for text in out.splitlines()
        if text.startswith("epochs")
    }

    assert len(epochs) == 1
    assert 1 < int(epochs.pop().split()[1]) < 30


@pytest.mark.parametrize("world_size", [1, 3])
def test_a_run_of_two_goes_on_with_one_or_three(study: Study, world_size: int) -> None:
    found = study("resuming")
    resumed, whole = found[f"resumed{world_size}"], found["whole"]
    stopped = found["stopped"]["checkpoint"]["global_step"]

    assert stopped % (TRAIN // BATCH + 1) != 0  # within an epoch
    assert resumed["global_step"] == whole["global_step"]
    for name, value in whole["state_dict"].items():
        assert (resumed["state_dict"][name] - value).abs().max() < 1e-9
    for epoch, expected in zip(*(run["callbacks"]["History"]["epochs"] for run in (resumed, whole)), strict=True):
        assert {name: epoch[name] for name in epoch if "/" in name} == pytest.approx(
            {name: expected[name] for name in expected if "/" in name}, rel=1e-6
        )
