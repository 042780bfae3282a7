"""The argument parser: jsonargparse's, with messages for people."""

import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, Namespace, set_loader
from jsonargparse.typing import Path as ConfigPath
from jsonargparse.typing import restricted_number_type

from src.common.errors import UsageError
from src.common.files import read_regular
from src.common.yaml_text import LONGEST_VALUE, load_yaml

Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)], docstring="A whole number below 2**32.")
GROUPS = ("model", "data", "data.distortion", "trainer", "inspection", "checkpoints", "distillation")
yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, value: dumper.represent_str(str(value.value)))


set_loader("yaml", load_yaml, (yaml.YAMLError,))
read_other_text = ConfigPath.read_text  # from standard input, or from where fsspec reads


def read_config(path: ConfigPath) -> str:
    """Read a config as UTF-8, whatever this system's encoding is; only a regular file, as a pipe may never end."""
    is_local = Path(path.absolute).exists()
    return read_regular(Path(path.absolute)).decode() if is_local else read_other_text(path)


# the one way in which jsonargparse reads configs, also configs that are named in others
ConfigPath.read_text = read_config  # type: ignore[method-assign, assignment]


class ParserError(UsageError):
    """A request in the words of jsonargparse, which explain_parser_message puts into ours."""


class Parser(ArgumentParser):
    """Reports a mistake as an exception, so that main() prints it in one sentence instead of a page of usage."""

    def parse_args(self, args: Sequence[str], *rest: Any, **kwargs: Any) -> Namespace:  # type: ignore[override]
        """Parse a request that is not so long, deep or strange that jsonargparse falls over it."""
        if any(len(word) > LONGEST_VALUE for word in args):
            raise UsageError(f"a word has more than {LONGEST_VALUE:,} characters: write it into a file for --config.")
        tagged = next((word for word in args if re.search(r"(^|[=\[{,:\s])!(!|<)", word)), None)
        if tagged:
            raise UsageError(f"{tagged}: a word of the command cannot have a tag of YAML's: write the value plainly.")
        try:
            config: Namespace = super().parse_args(args, *rest, **kwargs)
        except RecursionError as error:
            raise UsageError("a value has lists or settings that are too deep in others: write it flatter.") from error
        return config

    def validate(self, namespace: Namespace, skip_unset: bool = False, **kwargs: Any) -> None:
        """Check a request; unlike in jsonargparse, null is a value like others, and settings are no value."""
        request = namespace.get(namespace.get("subcommand") or "", namespace)
        groups = [name for name in GROUPS if name in request]
        for name in groups:
            if not isinstance(request[name], Namespace):
                raise TypeError(f"--{name} needs settings below it, as in configs/mlp.yaml; got {request[name]}.")
        # where there are only flags, null is a missing flag, for which jsonargparse has words of its own
        super().validate(namespace, skip_unset=skip_unset or not groups, **kwargs)

    def format_help(self, *formatter: Any) -> str:
        """Return the help without the names of all networks that torch has."""
        return re.sub(r",\s+known\s+subclasses:\s+torch\.nn\.Module,[^)]*\)", ")", super().format_help(*formatter))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ParserError."""
        raise ParserError(message) from ex

    def parse_path(self, cfg_path: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Read a config, and name it in the sentence that says what is wrong with it."""
        try:
            config: Namespace = super().parse_path(cfg_path, *args, **kwargs)
        except UnicodeDecodeError as error:
            raise UsageError(f"--config {cfg_path} is not UTF-8 text ({error.reason}): save it as UTF-8.") from error
        except ParserError as error:
            if str(error).startswith("Unexpected config"):
                raise UsageError(f"--config {cfg_path} has no settings: write them as in configs/mlp.yaml.") from error
            problem = " is not YAML" * ("<unicode string>" in str(error))
            message = str(error).replace("Problems parsing config", f"--config {cfg_path}{problem}", 1)
            raise ParserError(message) from error
        return config
