"""Messages for the user: errors of jsonargparse, Lightning and the system as one sentence with a way out."""

import difflib
import errno
import os
import re
import sys
from collections.abc import Collection
from pathlib import Path

from torch.distributed import DistError

from src.cli.commands import NAMES
from src.common.errors import FAILED, FULL, RunError, UsageError, cause_of, one_line

OUT_OF_MEMORY = "can't allocate memory|not enough memory|out of memory"  # on Linux, on Windows, on a GPU
ANOTHER_PLACE = "name another place"
WAYS_OUT = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), f"change its permissions, or {ANOTHER_PLACE}"),
    **dict.fromkeys((errno.EROFS, errno.ENOLCK), f"{ANOTHER_PLACE}, or copy the run to a disk that can be written"),
    **dict.fromkeys(FAILED, "the disk is failing; continue with a copy on another disk"),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ELOOP), ANOTHER_PLACE),
    errno.ENAMETOOLONG: f"{ANOTHER_PLACE}, or give it a shorter name",
}
NO_CHECKPOINT = "--ckpt_path is missing: give a checkpoint, a run folder, best or last."
COMMANDS = f"{', '.join(NAMES[:-1])} or {NAMES[-1]}"

# a pattern in jsonargparse's message -> what to say instead
REWORDINGS = (
    (r'expected "subcommand" to be one of .*', f"name a command: {COMMANDS}; see --help."),
    (r"argument subcommand: invalid choice: '(.*)' \(.*", rf"\1 is not a command: name one of {COMMANDS}; see --help."),
    (r'Parser key "([\w.]+)":', r"--\1:"),
    (r"the following arguments are required: runs", "name the runs to compare, such as lightning_logs/version_0."),
    (r"the following arguments are required: (\w+).*", r"--\1 is missing; see --help."),
    (r'Key "(\w+)\.\w+" not found in namespace\.', r"--\1 needs settings below it, as in configs/mlp.yaml."),
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"argument (?:-\w/)?(--[\w.]+): expected (?:one|at least one) argument", r"\1 needs a value."),
    (r' in "<unicode string>",', " at"),
    (r"- Expected a path but .* either not accessible or invalid - ", ""),
    (r"Expected a Sequence. Got value: (\[.*,)$", r"\1 is half a list: put the list in quotes, or omit its spaces."),
    (r"Expected a Sequence(?=. Got value: ([\w.]+)$)", r'Expected a list such as "[\1]"'),
    (r"Expected a Sequence", r"Expected a list such as [256]"),
    (r"Does not validate .* \[list\[int\], .*: (\d+)$", r'Expected a list such as "[\1,\1]". Got value: \1'),
    (r"Does not validate .* \[list\[.*: ([\w.]+)$", r'Expected a list such as "[\1]". Got value: \1'),
    (r"Expected a typing\.Literal(\[.*?\])", r"Expected one of \1"),
    (r"Not of type Seed: .*", r"Expected a whole number from 0 to 4294967295."),
    (r"Does not validate .* Subtypes: \[(.*)\] Errors: .* Given value: (.*)", r"\2 is not one of \1."),
    (r"typing\.(Literal|Union)", ""),
    (r"\b(lightning|collections|src)\.[\w.]*\.(\w+)", r"\2"),
    (r"\b(a |an )?int\b", "a whole number"),
    (r"\b(a |an )?float\b", "a number"),
    (r"\bNone(Type)?\b", "null"),
)
# flags that take a class -> the module that has its bare name, or all valid names
CLASSES = {
    "trainer.callbacks": "lightning.pytorch.callbacks",
    "model.network": "mlp, cnn",
    "model.loss": "torch.nn.modules.loss",
    "model.metrics": "torchmetrics.classification",
    "optimizer": "torch.optim",
    "lr_scheduler": "torch.optim.lr_scheduler",
}
# names in Keras and elsewhere -> our flags
KERAS = {
    "epochs": "trainer.max_epochs",
    "num_epochs": "trainer.max_epochs",
    "units": "model.hidden_units",
    "gpus": "trainer.devices",
    "resume_from_checkpoint": "ckpt_path",
    "validation_split": "data.val_size",
    "learning_rate": "model.lr",
    "seed": "seed_everything",
}


def explain(error: Exception) -> tuple[str, int] | None:
    """Return the sentence and the exit code for an error; None for a bug of this program."""
    if isinstance(error, UsageError | RunError):
        return one_line(str(error)), error.exit_code
    if any(kind.__name__ == "MisconfigurationException" for kind in type(error).__mro__):  # Lightning's
        return cause_of(error), UsageError.exit_code
    if isinstance(error, DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error).lower()):
        cause = " ".join(str(error).partition("\n")[0].split())
        if "EADDRINUSE" in cause:
            return f"MASTER_PORT {os.environ.get('MASTER_PORT')} is used by another program: set another port.", 2
        way_out = "see its output; resume from the run's last checkpoint with fit --ckpt_path."
        return one_line(f"another process of this job has ended or cannot be reached ({cause}): {way_out}"), 1
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and re.search(OUT_OF_MEMORY, str(error))):
        return "there is not enough memory: in a training, lower --model.hidden_units or --data.batch_size.", 2
    if isinstance(error, OSError) and error.errno in FULL:
        return one_line(f"{error.filename or 'a file'} could not be written: {error.strerror}; free some space."), 1
    if isinstance(error, OSError) and error.errno in WAYS_OUT and error.filename:
        code = RunError.exit_code if error.errno in FAILED else UsageError.exit_code
        return one_line(f"{error.filename}: {error.strerror}; {WAYS_OUT[error.errno]}."), code
    return None


def explain_parser_message(message: str, keys: Collection[str]) -> str:
    """Reword a message of the argument parser, with the nearest valid name for an unknown name."""
    message = " ".join(message.split())
    unknown = re.search(r"unrecognized arguments: --([\w.]+)|does not accept option '([\w.]+)'", message)
    if unknown:
        name = unknown[1] or unknown[2]
        known = nearest(name, keys)
        return f"--{name} is not known" + (f"; did you mean --{known}?" if known else "; see --help.")
    if dashed := re.match(r"unrecognized arguments: [\u2013\u2014]+([\w.]+)", message):
        return f"{dashed[0].split()[-1]} begins with a dash, not with two hyphens: write --{dashed[1]}."
    if (loose := re.match(r"unrecognized arguments: ([^-\s]\S*)", message)) and (flag := flag_for(loose[1], keys)):
        return f"{loose[1]} has no flag before it; did you mean --{flag} {loose[1]}?"
    if explained := explain_class(message):
        return explained
    config = re.search(r'"(\w+)": (File does not exist|Path is not a file|Unable to load config):? \'(.*?)\'', message)
    if config and not Path(config[3]).is_file():
        return explain_missing_config(config[1], Path(config[3]))
    for pattern, replacement in REWORDINGS:
        message = re.sub(pattern, replacement, message)
    return message


def explain_class(message: str) -> str | None:
    """Explain a wrong value of a flag in CLASSES, where jsonargparse lists every type it tried; else return None."""
    named = re.match(r'Parser key "([\w.]+)"', message)
    if named is None or named[1] not in CLASSES:
        return None
    flag, module = f"--{named[1]}", CLASSES[named[1]]
    if missing := re.search(r"arguments are required: (\w+)", message):
        return f"{flag}.{missing[1]} is missing: the class needs it."
    if early := re.search(r"NestedArg\(key='(\w+)'", message):
        plus = "+" * (named[1] in ("trainer.callbacks", "model.metrics"))
        return f"{flag}.{early[1]} does not fit: put it after its class ({flag}{plus}=NAME), which must accept it."
    if wrong := re.search(r"Option '(\w+)' is not accepted|Parser key \"(\w+)\":", message.removeprefix(named[0])):
        return f"{flag}.{wrong[1] or wrong[2]} does not fit: the class takes no such argument or value."
    if unknown := re.search(
        r"(?:Given value|expects a function.* value|Expected a dot import path string): ([\w.]+)$", message
    ):
        if "." in unknown[1]:
            return f"{flag}: {unknown[1]} cannot be imported as such a class: check its path, and import it in Python."
        known = sys.modules[module].__all__ if module in sys.modules else module.split(", ")
        lower = {name.lower(): name for name in known}
        close = difflib.get_close_matches(unknown[1].lower(), lower, n=1, cutoff=0.75)
        other = f"name one of {module}, or a class by its import path."
        return f"{flag}: there is no {unknown[1]}; {f'did you mean {lower[close[0]]}?' if close else other}"
    return None


def flag_for(word: str, keys: Collection[str]) -> str | None:
    """Return the flag that a stray word fits: a config's, a checkpoint's (run folders too) or a picture's."""
    is_checkpoint = word.endswith(".ckpt") or word in ("best", "last") or (Path(word) / "checkpoints").is_dir()
    flag = "config" if word.endswith((".yaml", ".yml")) else "ckpt_path" if is_checkpoint else "images"
    return flag if any(flag == key.rpartition(".")[2] for key in keys) else None


def nearest(name: str, keys: Collection[str]) -> str | None:
    """Return the key most like a name, keys of the same group first; None if no key is close."""
    if (known := KERAS.get(name.rpartition(".")[2])) in keys:
        return known
    group, _, last = name.rpartition(".")
    parts = {key.rpartition(".")[2]: key for key in keys}
    siblings = {key.rpartition(".")[2]: key for key in keys if key.rpartition(".")[0] == group}
    if close := difflib.get_close_matches(last, siblings, n=1):
        return siblings[close[0]]
    if not (group and siblings) and (close := difflib.get_close_matches(name, keys, n=1)):
        return close[0]
    close = difflib.get_close_matches(name, parts, n=1, cutoff=0.7)
    return parts[close[0]] if close else None


def explain_missing_config(flag: str, path: Path) -> str:
    """Return the sentence for a missing config, with the closest file name beside it or in ``configs``."""
    if path.is_dir():
        return f"--{flag} {_relative(path)} is a folder: name a file in it, such as a run's config.yaml."
    configs = {config.name: config for folder in (Path("configs"), path.parent) for config in folder.glob("*.yaml")}
    close = difflib.get_close_matches(path.name, configs, n=1)
    shown = [_relative(config) for config in (path, *(configs[name] for name in close))]
    return f"--{flag} {shown[0]}: no such file; " + (
        f"did you mean {shown[1]}?" if close else "run in the project's folder, whose configs are in configs."
    )


def _relative(path: Path) -> str:
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive of Windows
        return str(path)
