"""jsonargparse's argument parser with errors of one sentence."""

import re
from collections.abc import Sequence
from enum import Enum
from importlib.util import find_spec
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
# jsonargparse's error for a class that raises an error: the class's own error, and the class
REFUSED = (
    r"Does not validate .* Errors: (?:- (?:Expected|Not a valid|a) (?:(?! - ).)* (?=- ))*"
    r"- (?:Problem with given class_path '.*?': ?)?"
    r"(.*?)(?: ?- (?:Expected|Not a valid) .*)? ?Given value type: .*?class_path='(.*?)'.*"
)
GROUPS = ("model", "data", "data.distortion", "trainer", "inspection", "checkpoints", "distillation")
yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, value: dumper.represent_str(str(value.value)))
# settings of deleted parts, which are ignored where an older checkpoint or config has them
GONE = {name for name in ("inspection",) if find_spec(f"src.{name}") is None}


def present(content: Any) -> Any:
    """Return a config's content without GONE."""
    return {key: item for key, item in content.items() if key not in GONE} if isinstance(content, dict) else content


set_loader("yaml", lambda text: present(load_yaml(text)), (yaml.YAMLError,))
read_other_text = ConfigPath.read_text  # for standard input and fsspec's addresses


def read_config(path: ConfigPath) -> str:
    """Read a config as UTF-8 on every system; a local path must be a regular file, because a pipe may never end."""
    is_local = Path(path.absolute).exists()
    return read_regular(Path(path.absolute)).decode() if is_local else read_other_text(path)


# jsonargparse reads every config with this method, also a config named in another config
ConfigPath.read_text = read_config  # type: ignore[method-assign, assignment]


class ParserError(UsageError):
    """A refusal in the words of jsonargparse, for explain_parser_message to reword."""


class Parser(ArgumentParser):
    """Raises an exception for a mistake, so that main() prints one sentence instead of a page of usage."""

    def parse_args(self, args: Sequence[str], *rest: Any, **kwargs: Any) -> Namespace:  # type: ignore[override]
        """Parse a request; refuse words that are too long or too deeply nested for jsonargparse, and YAML's tags."""
        if any(len(word) > LONGEST_VALUE for word in args):
            raise UsageError(f"a word has more than {LONGEST_VALUE:,} characters: write it into a file for --config.")
        tagged = next((word for word in args if re.search(r"(^|[=\[{,:\s])!(!|<)", word)), None)
        if tagged:
            raise UsageError(f"{tagged}: a word of the command cannot have a YAML tag: write the value plainly.")
        try:
            config: Namespace = super().parse_args(args, *rest, **kwargs)
        except RecursionError as error:
            raise UsageError("a value is nested too deeply: write it flatter.") from error
        return config

    def validate(self, namespace: Namespace, skip_unset: bool = False, **kwargs: Any) -> None:
        """Check a request; unlike jsonargparse, check null too, and refuse a single value for a group of settings."""
        request = namespace.get(namespace.get("subcommand") or "", namespace)
        groups = [name for name in GROUPS if name in request]
        for name in groups:
            if not isinstance(request[name], Namespace):
                raise TypeError(f"--{name} needs settings below it, as in configs/mlp.yaml; got {request[name]}.")
        # a command without groups: null is a missing flag, which jsonargparse reports better
        super().validate(namespace, skip_unset=skip_unset or not groups, **kwargs)

    def format_help(self, *formatter: Any) -> str:
        """Return the help without the names of all modules in torch.nn."""
        return re.sub(r",\s+known\s+subclasses:\s+torch\.nn\.Module,[^)]*\)", ")", super().format_help(*formatter))

    def instantiate(self, *args: Any, **kwargs: Any) -> Namespace:
        """Make the classes in a request; if a class raises an error, raise UsageError with that error alone."""
        try:
            made: Namespace = super().instantiate(*args, **kwargs)
        except ValueError as error:
            if (refused := re.fullmatch(REFUSED, " ".join(str(error).split()))) is None:
                raise
            reason = refused[1] or "it gives no reason"
            sentence = f"{refused[2]} cannot be made ({reason}): mend the class or its arguments."
            raise UsageError(sentence) from error
        return made

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ParserError."""
        raise ParserError(message) from ex

    def parse_path(self, cfg_path: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Read a config; every error names the file."""
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
