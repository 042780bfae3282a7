"""The mistakes that end the program with one sentence instead of a traceback."""

import errno
import re

from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch.distributed import DistError


class UsageError(ValueError):
    """A request that cannot be met; its text names the flag or file and the way out (exit code 2)."""

    exit_code = 2


class RunError(RuntimeError):
    """Something outside the program failed while it ran, such as a full disk (exit code 1)."""

    exit_code = 1


LONGEST = 1_000  # characters of a message
OUT_OF_MEMORY = "can't allocate memory|out of memory"  # what torch says of the CPU's and of a GPU's
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WAYS_OUT = {
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.EROFS: "name another place, or copy the run to a disk that can be written",
    errno.ENOTDIR: "a part of its path is a file; name another place",
    errno.EISDIR: "a file is needed there; name another place",
    errno.ELOOP: "a link in it leads back to itself; name another place",
    errno.ENAMETOOLONG: "name another place, or give it a shorter name",
}


def explain(error: Exception) -> tuple[str, int] | None:
    """Put a failure that is not the program's own mistake into a sentence.

    Args:
        error: What ended the program.

    Returns:
        The sentence and the exit code; None for a mistake of the program's own, which needs its traceback.
    """
    if isinstance(error, UsageError | RunError):
        return one_line(str(error)), error.exit_code
    if isinstance(error, MisconfigurationException):
        return one_line(" ".join(str(error).split())), UsageError.exit_code
    if isinstance(error, RuntimeError) and str(error).startswith("Early stopping conditioned on metric"):
        asked, _, *there = re.findall(r"`([^`]*)`", str(error))  # the second is its own name
        names = ", ".join(there) or "none, as nothing was measured"
        return f"--trainer.callbacks.monitor: there is no metric {asked}; those there are: {names}.", RunError.exit_code
    if isinstance(error, DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error).lower()):
        return (
            "another process of this job has ended or cannot be reached: see what it says; go on with "
            "fit --ckpt_path last.",
            RunError.exit_code,
        )
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and re.search(OUT_OF_MEMORY, str(error))):
        return "there is not enough memory for that: lower --model.hidden_units or --data.batch_size.", 2
    if isinstance(error, OSError) and error.errno in FULL:
        name = error.filename or "a file"
        return one_line(f"{name} could not be written: {error.strerror}; free some space."), RunError.exit_code
    if isinstance(error, OSError) and error.errno in WAYS_OUT and error.filename:
        return one_line(f"{error.filename}: {error.strerror}; {WAYS_OUT[error.errno]}."), UsageError.exit_code
    return None


def one_line(text: str) -> str:
    """Return a message without what could do something to a terminal, and with its middle left out if it is long.

    It may quote a file: keys, values, names.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
