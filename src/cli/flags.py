"""Flags of fit, validate and test besides the model's, the data's and the Trainer's, and links between arguments."""

from lightning.pytorch.cli import LightningArgumentParser

from src.callbacks.checkpoints import Checkpoints
from src.cli.inspection import add_inspection
from src.cli.optimizer import add_optimizer
from src.model.distillation import Distillation


def add_flags(parser: LightningArgumentParser) -> None:
    """Add ``--ckpt_path``, the callbacks' flags, and the links between arguments."""
    parser.add_argument(
        "--ckpt_path",
        type=str | None,
        help="A checkpoint file, a run folder (fit takes its last checkpoint, validate and test its best), or "
        "best or last of the newest run that has one. fit resumes a run from its own last.ckpt or last.prev.ckpt, "
        "and starts a new run from any other checkpoint.",
    )
    parser.add_argument(
        "--ema_decay",
        type=float | None,
        help="Decay per step, such as 0.9995, of an exponential moving average of the weights, which is validated and "
        "kept in place of the weights.",
    )
    parser.link_arguments("seed_everything", "data.seed")
    # the parser's seed is an object of class Seed, which a checkpoint must not hold
    parser.link_arguments("seed_everything", "model.seed", compute_fn=int)
    parser.link_arguments("model.steps_per_execution", "data.steps_per_execution")
    parser.link_arguments("data.classes", "model.num_classes", compute_fn=len, apply_on="instantiate")
    parser.link_arguments("data.image_shape", "model.image_shape", apply_on="instantiate")
    add_optimizer(parser)
    add_inspection(parser)
    parser.add_class_arguments(
        Checkpoints, "checkpoints", "Checkpoints of fit", skip={"run", "config"}, instantiate=False
    )
    parser.add_class_arguments(
        Distillation, "distillation", "A teacher for fit", skip={"network", "sha256", "bf16"}, instantiate=False
    )
