"""The classes as a notebook calls them: a mistake is told in arguments, and evaluation returns its metrics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from src.common.errors import UsageError
from src.data.datamodule import MNISTDataModule
from src.digits.frame import read_digit
from src.inspection.findings import predict
from src.model.classifier import Classifier
from src.runs.trained import WEIGHTS, Trained

pytestmark = pytest.mark.slow

FLOATS = torch.rand(2, 28, 28)
QUIET: dict[str, Any] = dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)


def with_optimizer(name: str) -> Classifier:
    model = Classifier()
    model.make_optimizer = name
    return model


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (
            lambda: Classifier(hidden_units=1000),
            "`hidden_units` needs a positive number per layer, like [256], got",
        ),
        (lambda: Classifier(loss=nn.CrossEntropyLoss()), "`loss` must have reduction='sum': it is divided by the size"),
        (lambda: Classifier(loss="categorical_crossentropy"), "`loss` must be a module, got 'categorical_crossentr"),
        (lambda: Classifier(512), "`network` must be mlp, cnn or a module, got 512: for units use hidden_units"),
        (lambda: Classifier([512], 0.001), "`network` must be mlp, cnn or a module, got [512]: for units use hidden_"),
        (lambda: with_optimizer("sgd").configure_optimizers(), "`make_optimizer` must be a function: lambda param"),
        (lambda: MNISTDataModule(batch_size=2.5), "`batch_size` must be a whole number from 1 up, got 2.5."),
        (lambda: Classifier(dropout=50), "`dropout` must be at least 0 and below 1, got 50."),
        (lambda: MNISTDataModule().splits["train"], '`splits` has no "train" yet: call data.setup("fit") first.'),
        (lambda: MNISTDataModule().splits["x_test"], '`splits` has train, val and test, and no "x_test".'),
        (lambda: predict(Classifier(), FLOATS, MNISTDataModule()), "`split` must be one of the data module's, such as"),
        (
            lambda: predict(Trained.load(WEIGHTS), FLOATS, MNISTDataModule()),
            "`net` must be a module, got Trained: a T",
        ),
        (lambda: MNISTDataModule().setup("train"), "`stage` must be fit, validate or test, got 'train'."),
        (lambda: read_digit(Image.new("L", (60, 60))), "`picture` must be a file or its path, got Image: for pixels"),
        (lambda: read_digit(FLOATS[0]), "`picture` must be a file or its path, got Tensor: for pixels use"),
        (
            lambda: Trainer(max_epochs=1, logger=False, **QUIET).fit(Classifier(), *[DataLoader([1.0])] * 2),
            "the batches must come from this project's data module",
        ),
        (lambda: MNISTDataModule().splits["test"], '`splits` has no "test" yet: call data.setup("test") first.'),
        (lambda: Classifier().predict, "a Classifier has no `predict`: use src.inspection.findings.predict(model,"),
        (lambda: Classifier().evaluate, "a Classifier has no `evaluate`: use Trainer(logger=False).test(model,"),
        (lambda: Classifier().save, "a Classifier has no `save`: use trainer.save_checkpoint('mine.ckpt')"),
        (lambda: Classifier().summary, "a Classifier has no `summary`: use print(src.model.networks.parameter_table("),
        (lambda: Classifier().fit, "a Classifier has no `fit`: use Trainer(max_epochs=10).fit(model, datamodule=data)"),
        (lambda: Classifier().history, "a Classifier has no `history`: use trainer.callback_metrics"),
        (lambda: Classifier().load_weights, "a Classifier has no `load_weights`: use Classifier.load_from_checkpoint("),
        (lambda: Classifier().compile(optimizer="adam"), "a Classifier has no `compile` as in Keras: use Classifier("),
        (lambda: Classifier(lr="0.001"), "`lr` must be a positive number, got '0.001'."),
        (lambda: Classifier(lr=None), "`lr` must be a positive number, got None."),
        (lambda: Classifier(dropout="0.5"), "`dropout` must be at least 0 and below 1, got '0.5'."),
        (lambda: Classifier(dropout=[0.5, 0.2]), "`dropout` must be at least 0 and below 1, got [0.5, 0.2]."),
        (lambda: Classifier(hidden_units=["1000"]), "`hidden_units` needs a positive number per layer, like"),
        (lambda: Classifier(hidden_units=[256.0]), "`hidden_units` needs a positive number per layer, like"),
        (
            lambda: Classifier(hidden_units=256.0),
            "`hidden_units` needs a positive number per layer, like [256], got",
        ),
        (lambda: Classifier(weight_decay="0"), "`weight_decay` must be at least 0, got '0'."),
        (lambda: MNISTDataModule(batch_size="200"), "`batch_size` must be a whole number from 1 up, got '200'."),
        (lambda: MNISTDataModule(val_size="12000"), "`val_size` must be a whole number from 0 up or a fraction below"),
        (lambda: MNISTDataModule(image_size=28), "`image_size` needs a height and a width, such as [32, 32], got 28."),
        (
            lambda: MNISTDataModule(image_size=32.0),
            "`image_size` needs a height and a width, such as [32, 32], got 32.",
        ),
        (lambda: MNISTDataModule(image_size=[28]), "`image_size` needs a height and a width, such as [32, 32], got [2"),
        (lambda: MNISTDataModule("arrays").files, "`dataset` arrays needs `data_dir`: name the folder."),
        (
            lambda: Classifier("cnn", image_shape=(3, 28)),
            "`network` cnn needs images of at least 4 x 4 pixels, got 3 x",
        ),
        (
            lambda: Classifier()(torch.zeros(1, 28, 28, dtype=torch.uint8)),
            "a Classifier takes a tensor of floats: model(data",
        ),
        (lambda: Classifier()(np.zeros((1, 28, 28))), "a Classifier takes a tensor of floats: model(data.normalize("),
        (
            lambda: MNISTDataModule().normalize(FLOATS),
            "`images` must be a uint8 tensor (N, H, W), pixels 0 to 255, got",
        ),
        (lambda: Trained.load(WEIGHTS).answer(FLOATS), "`images` must be a uint8 tensor (N, H, W), pixels 0 to 255, "),
        (lambda: MNISTDataModule().normalize(FLOATS.numpy()), "`images` must be a uint8 tensor (N, H, W), pixels 0 to"),
        (lambda: MNISTDataModule().normalize(FLOATS[0].byte()), "`images` must be a uint8 tensor (N, H, W), pixels 0"),
        (lambda: Trained.load(Path("mlp.ckpt")), "`ckpt_path` mlp.ckpt: no such file or run folder; give a checkpoint"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*srun.* command", "ignore:.*does not have many workers", "ignore:.*LeafSpec")
def test_a_mistake_is_told_in_arguments_and_calls(mistake: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((UsageError, AttributeError)) as error:
        mistake()
    assert str(error.value).startswith(sentence)


@pytest.mark.filterwarnings("ignore:.*srun.* command", "ignore:.*does not have many workers", "ignore:.*LeafSpec")
def test_evaluation_returns_its_metrics_and_training_leaves_the_loggers_to_others(digits: Path) -> None:
    data, logged = MNISTDataModule(data_dir=str(digits), batch_size=50, val_size=30), list[str]()
    logger = DummyLogger()
    vars(logger)["log_metrics"] = lambda metrics, step: logged.extend(metrics)
    trainer = Trainer(max_epochs=1, log_every_n_steps=1, logger=logger, **QUIET)
    model = Classifier()
    trainer.fit(model, datamodule=data)
    assert logged == []
    for evaluate, stage in ((trainer.validate, "val"), (trainer.test, "test")):
        (result,) = evaluate(model, datamodule=data, verbose=False)
        assert set(result) == {f"{stage}/loss", f"{stage}/acc"}
        assert result[f"{stage}/acc"] == trainer.callback_metrics[f"{stage}/acc"]


@pytest.mark.filterwarnings("ignore:.*srun.* command", "ignore:.*does not have many workers", "ignore:.*LeafSpec")
def test_a_file_without_the_datas_normalization_is_not_saved(digits: Path, tmp_path: Path) -> None:
    data = MNISTDataModule(data_dir=str(digits), batch_size=50, val_size=30)
    data.setup("validate")
    trainer = Trainer(logger=False, accelerator="cpu", **QUIET)
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
    trainer.validate(Classifier(), DataLoader(batches, batch_size=None), verbose=False)
    with pytest.raises(UsageError, match=r"^the file needs the normalization: fit or test with datamodule=data before"):
        trainer.save_checkpoint(tmp_path / "mine.ckpt")
    assert list(tmp_path.iterdir()) == []
