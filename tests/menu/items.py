"""What this project does about everything that Lightning offers: works, or is refused with a sentence.

``docs/lightning.md`` has the same tables in words. A name that a newer Lightning brings is not in here: it goes by the
general rule, and the tests report it as a warning.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """An entry of Lightning's menu.

    Attributes:
        words: The flags that ask for it, behind its own.
        says: What is on stderr when it is refused; nothing where it works.
        changes: Whether the weights are others than without it.
        keeps: Whether it leaves a checkpoint, to go on from.
        alone: Whether it works with single steps only; what it says otherwise.
        meaning: For the page: what it does here.
        shows: What is printed for a person.
        again: What is on stderr when a run is to go on with it, if it cannot.
    """

    meaning: str
    words: tuple[str, ...] = ()
    says: str = ""
    alone: str = ""
    shows: str = ""
    again: str = ""
    changes: bool = False
    keeps: bool = True


QUIET = ("--inspection.enabled", "false", "--model.hidden_units", "[8]", "--trainer.max_epochs", "2")
CB = "--trainer.callbacks"
STOPS = (f"{CB}+=EarlyStopping", f"{CB}.monitor=val/loss", f"{CB}.min_delta=9", f"{CB}.patience=1")  # after 2 epochs
RICH = "needs rich, which is not installed"

CALLBACKS = {
    "BackboneFinetuning": Item("refused", says="BackboneFinetuning freezes layers"),
    "BaseFinetuning": Item("refused", says="BaseFinetuning freezes layers"),
    "BasePredictionWriter": Item("does nothing: the command predict is not Lightning's"),
    "BatchSizeFinder": Item(
        "refused: sweep over data.batch_size", says="compare sizes with sweep over data.batch_size."
    ),
    "Callback": Item("does nothing"),
    "Checkpoint": Item("does nothing"),
    "DeviceStatsMonitor": Item("works where psutil is installed"),
    "EarlyStopping": Item("works; its flags win over what a checkpoint saved", (f"{CB}.monitor=val/loss",)),
    "GradientAccumulationScheduler": Item(
        "works with single steps",
        (CB + '.scheduling={"1": 2}',),
        alone="is not supported for manual optimization",
        changes=True,
    ),
    "LambdaCallback": Item("works"),
    "LearningRateFinder": Item("refused: sweep over model.lr", says="compare rates with sweep over model.lr."),
    "LearningRateMonitor": Item("works; the run has lr anyway"),
    "ModelCheckpoint": Item("works, in the run's folder model_checkpoints"),
    "ModelPruning": Item(
        "refused", (f"{CB}.pruning_fn=l1_unstructured",), says="ModelPruning changes the weights' names"
    ),
    "ModelSummary": Item("works", shows="Trainable params"),
    "OnExceptionCheckpoint": Item(
        "refused: a run has its last.ckpt", (f"{CB}.dirpath=x",), says="a run has its last.ckpt"
    ),
    "ProgressBar": Item("takes the console's place, and prints nothing"),
    "RichModelSummary": Item("works where rich is installed", says=RICH),
    "RichProgressBar": Item("works where rich is installed, in the console's place", says=RICH),
    "StochasticWeightAveraging": Item("refused: --ema_decay", (f"{CB}.swa_lrs=0.01",), says="use --ema_decay 0.999."),
    "SpikeDetection": Item(
        "works with single steps; a run goes on without it, as Lightning 2.6 cannot restore it",
        alone="SpikeDetection ended the training (KeyError",
        again="SpikeDetection cannot be used here",
    ),
    "ThroughputMonitor": Item(
        "needs a function, so a class of your own", (f"{CB}.batch_size_fn=len",), says="which must accept it."
    ),
    "Timer": Item("works", (f"{CB}.duration=00:01:00:00",)),
    "TQDMProgressBar": Item("works, in the console's place"),
    "EMAWeightAveraging": Item("works, as --ema_decay", changes=True),
    "WeightAveraging": Item("works", changes=True),
}
LOGGERS = {
    "CSVLogger": Item("works", ("--trainer.logger.save_dir=csv",)),
    "CometLogger": Item("works where comet-ml is installed", says="needs comet-ml"),
    "LitLogger": Item("works where litlogger is installed", says="LitLogger"),
    "Logger": Item("is abstract", says="--trainer.logger"),
    "MLFlowLogger": Item("works", ("--trainer.logger.tracking_uri=sqlite:///mlflow.db",)),
    "TensorBoardLogger": Item("works", ("--trainer.logger.save_dir=lightning_logs",)),
    "WandbLogger": Item("works where wandb is installed", says="needs wandb"),
}
PROFILERS = {
    "advanced": Item("prints where the time goes, by function", shows="Profile stats for"),
    "pytorch": Item("writes traces into the run, and says where", shows="version_0/*.pt.trace.json"),
    "simple": Item("prints where the time goes", shows="FIT Profiler Report"),
    "xla": Item("needs a TPU", says="torch_xla"),
}
FLAGS = {
    "accelerator": Item("works", ("tpu",), says="torch_xla"),
    "accumulate_grad_batches": Item(
        "works with single steps", ("2",), alone="--model.steps_per_execution 1", changes=True
    ),
    "barebones": Item("works, without a run", ("true",), keeps=False),
    "benchmark": Item("works", ("true",)),
    "callbacks": Item("see above"),
    "check_val_every_n_epoch": Item("works", ("2",), shows="0.1500 in epoch 2"),
    "default_root_dir": Item("holds lightning_logs"),
    "detect_anomaly": Item("works", ("true",)),
    "deterministic": Item("works", ("true",)),
    "devices": Item("works: docs/devices.md", ("1",)),
    "enable_autolog_hparams": Item("works", ("false",)),
    "enable_checkpointing": Item("works", ("false",), keeps=False),
    "enable_model_summary": Item("works", ("true",), shows="Trainable params"),
    "enable_progress_bar": Item("works", ("false",)),
    "fast_dev_run": Item("trains one batch, without a run, and says so", ("true",), shows="val_acc", keeps=False),
    "gradient_clip_algorithm": Item(
        "works beside gradient_clip_val",
        ("value", "--trainer.gradient_clip_val=0.001"),
        alone="--model.steps_per_execution 1",
        changes=True,
    ),
    "gradient_clip_val": Item("works with single steps", ("0.1",), alone="--model.steps_per_execution 1", changes=True),
    "inference_mode": Item("works", ("false",)),
    "limit_predict_batches": Item("does nothing: the command predict is not Lightning's", ("1",)),
    "limit_test_batches": Item("works", ("1",)),
    "limit_train_batches": Item("works with single steps", ("2",), alone="--model.steps_per_execution 1", changes=True),
    "limit_val_batches": Item("works", ("1",)),
    "log_every_n_steps": Item("does nothing: every epoch is logged", ("2",)),
    "logger": Item("see above"),
    "max_epochs": Item("works", ("2",)),
    "max_steps": Item("works", ("14",), changes=True),
    "max_time": Item("works", ("00:00:10:00",)),
    "min_epochs": Item("works", ("3", *STOPS)),
    "min_steps": Item("works", ("18", *STOPS)),
    "model_registry": Item("does nothing: Lightning's own cloud", ("a/b",)),
    "num_nodes": Item("is the launcher's: docs/devices.md", ("2",), says="needs a launcher"),
    "num_sanity_val_steps": Item("works", ("1",)),
    "overfit_batches": Item("works with single steps", ("1",), alone="--model.steps_per_execution 1", changes=True),
    "plugins": Item("works, except for another CheckpointIO", ("AsyncCheckpointIO",), says="CheckpointIO"),
    "precision": Item("works", ("64-true",), changes=True),
    "profiler": Item("see above"),
    "reload_dataloaders_every_n_epochs": Item("works", ("1",)),
    "strategy": Item("works for one device and DDP", ("fsdp",), says="requires a GPU"),
    "sync_batchnorm": Item("works", ("true",)),
    "use_distributed_sampler": Item("does nothing: each batch is shared exactly", ("false",)),
    "val_check_interval": Item("works with single steps", ("2",), alone="--model.steps_per_execution 1"),
}
