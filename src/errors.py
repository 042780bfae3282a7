"""The mistakes that end the program with one sentence instead of a traceback."""

import errno

from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch.distributed import DistError


class UsageError(ValueError):
    """A request that cannot be met; its text names the flag or file and the way out (exit code 2)."""

    exit_code = 2


class RunError(RuntimeError):
    """Something outside the program failed while it ran, such as a full disk (exit code 1)."""

    exit_code = 1


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WAYS_OUT = {
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.EROFS: "name another place, or copy the run to a disk that can be written",
    errno.ENOTDIR: "a part of its path is a file; name another place",
    errno.EISDIR: "a file is needed there; name another place",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def explain(error: Exception) -> tuple[str, int] | None:
    """Put a failure that is not the program's own mistake into a sentence.

    Args:
        error: What ended the program.

    Returns:
        The sentence and the exit code; None for a mistake of the program's own, which needs its traceback.
    """
    if isinstance(error, UsageError | RunError):
        return str(error), error.exit_code
    if isinstance(error, MisconfigurationException):
        return " ".join(str(error).split()), UsageError.exit_code
    if isinstance(error, DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error).lower()):
        return (
            "another process of this job has ended or cannot be reached: see what it says; go on with "
            "fit --ckpt_path last.",
            RunError.exit_code,
        )
    if isinstance(error, OSError) and error.errno in FULL:
        name = error.filename or "a file"
        return f"{name} could not be written: {error.strerror}; free some space.", RunError.exit_code
    if isinstance(error, OSError) and error.errno in WAYS_OUT and error.filename:
        return f"{error.filename}: {error.strerror}; {WAYS_OUT[error.errno]}.", UsageError.exit_code
    return None
