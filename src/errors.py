"""The two kinds of mistake that end the program with one sentence instead of a traceback."""

import difflib
import re
from collections.abc import Collection


class UsageError(ValueError):
    """A request that cannot be met; its text names the flag or file and the way out (exit code 2)."""

    exit_code = 2


class RunError(RuntimeError):
    """Something outside the program failed while it ran, such as a full disk (exit code 1)."""

    exit_code = 1


# what jsonargparse says -> what a person needs
REWORDINGS = (
    (r"\(choose from (.*)\)", r"(choose from \1, 'data')"),
    (r'Parser key "([\w.]+)":', r"--\1:"),
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"Expected a Sequence", r"Expected a list such as [256]"),
    (r"Expected a typing\.Literal(\[.*?\])", r"Expected one of \1"),
    (r"Not of type Seed: .*", r"Expected a whole number from 0 to 4294967295."),
    (r"Does not validate .* Subtypes: \[(.*)\] Errors: .* Given value: (.*)", r"\2 is not one of \1."),
    (r"typing\.Literal", ""),
)


def explain_parser_message(message: str, keys: Collection[str]) -> str:
    """Turn a message of the argument parser into a sentence, with the nearest valid name for an unknown one.

    Args:
        message: What the parser says.
        keys: All keys that it knows, dotted.
    """
    message = " ".join(message.split())
    for pattern, replacement in REWORDINGS:
        message = re.sub(pattern, replacement, message)
    unknown = re.search(r"unrecognized arguments: --([\w.]+)|does not accept option '([\w.]+)'", message)
    if unknown:
        name = unknown[1] or unknown[2]
        nearest = difflib.get_close_matches(name, keys, n=1) or difflib.get_close_matches(name, keys, n=1, cutoff=0.3)
        message = f"--{name} is not known" + (f"; did you mean --{nearest[0]}?" if nearest else ".")
    return message
