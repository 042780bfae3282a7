"""The command line, ``python -m src.cli COMMAND``."""

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from io import TextIOWrapper
from pathlib import Path

import docstring_parser
from jsonargparse import Namespace

from src.cli.commands import COMMANDS, with_flags
from src.cli.messages import explain, explain_parser_message
from src.cli.parser import Parser, ParserError
from src.common.errors import RunError, UsageError
from src.common.output import flush, say
from src.common.signals import StoppedError, signal_of

FLAGS_OF_FIT = ("fit", "validate", "test", "data")  # commands that have flags of fit


def parse(parser: Parser, words: Sequence[str]) -> Namespace:
    """Parse a command's words, and make the classes among its arguments."""
    try:
        arguments: Namespace = parser.instantiate(parser.parse_args(words))
    except ParserError as error:
        raise UsageError(explain_parser_message(str(error), list(parser.get_defaults().keys()))) from error
    return arguments


def look_at_data(words: Sequence[str]) -> None:
    """Run ``data``: print sizes, class counts, statistics and files of a data set, and draw samples of it."""
    from src.data.datamodule import MNISTDataModule
    from src.data.report import report

    described = "Describe a data set and draw samples of it. Example: python -m src.cli data --output samples.png"
    parser = Parser(prog="python -m src.cli data", description=described, allow_abbrev=False)
    parser.add_class_arguments(MNISTDataModule, "data")
    parser.add_argument("--output", type=str, default="data.png", help="The PNG file for ten samples of each class.")
    arguments = parse(parser, words)
    say(with_flags(report(arguments.data, Path(arguments.output))))


def call(name: str, words: Sequence[str]) -> int:
    """Run a command, the function NAME of ``src/NAME``: its arguments are the flags, its docstring is the help.

    Returns:
        The exit code, which is the function's result.
    """
    function = getattr(import_module(f"src.{name}"), name)
    parameters = signature(function).parameters
    lists = [argument.name for argument in parameters.values() if argument.annotation == list[str]]
    described = docstring_parser.parse(function.__doc__ or "")
    parser = Parser(prog=f"python -m src.cli {name}", description=described.description or "", allow_abbrev=False)
    parser.add_function_arguments(function, as_group=False, skip=set(lists))
    others: dict[str, list[str]] = {}
    if "fit" in lists:
        lists.remove("fit")
        words, others["fit"] = split_words(words, list(parser.get_defaults().keys()))
    for flag in described.params:
        if flag.arg_name in lists:  # several words, such as a shell makes of *.png
            is_flag = parameters[flag.arg_name].kind is Parameter.KEYWORD_ONLY
            name, options = (f"--{flag.arg_name}", {"required": True}) if is_flag else (flag.arg_name, {})
            parser.add_argument(name, type=str, nargs="+", help=flag.description, **options)
    arguments = parse(parser, words)
    try:
        exit_code: int = function(**vars(arguments), **others)
    except (UsageError, RunError) as error:
        error.args = (with_flags(str(error), None if others else list(parameters)),)
        raise
    return exit_code


def split_words(words: Sequence[str], flags: list[str]) -> tuple[list[str], list[str]]:
    """Split a command's words into its own flags with their values, and the rest, which is for ``fit``."""
    if "--help" in words or "-h" in words:
        return ["--help"], []
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in flags:
        parser.add_argument(f"--{name}")
    try:
        chosen, others = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise UsageError(explain_parser_message(str(error), flags)) from error
    return [f"--{name}={value}" for name, value in vars(chosen).items() if value is not None], others


def main(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: The words after ``python -m src.cli``; None takes them from sys.argv.

    Returns:
        The exit code: 0, 2 for a request that cannot be met, 1 for a failure while running, 130 after Ctrl-C and 143
        after SIGTERM.
    """
    for message in (
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # torch 2.12, about a call in Lightning 2.6
        "GPU available but not used",  # the user chose --trainer.accelerator cpu
        "The AccumulateGrad node's stream does not match",  # Lightning 2.6 makes DDP on a side stream
    ):
        warnings.filterwarnings("ignore", message=message)
    sys.stdout, sys.stderr = (stream or Path(os.devnull).open("w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):  # print a name even if the terminal lacks its letters
        sys.stdout.reconfigure(errors="backslashreplace")
    speak: Callable[[str], None] = partial(print, file=sys.stderr, flush=True)
    leave: Callable[[], None] = flush
    words = list(sys.argv[1:] if args is None else args)
    try:
        if words[:1] == ["data"]:
            look_at_data(words[1:])
        elif words and words[0] in COMMANDS:
            return call(words[0], words[1:])
        else:
            from src.cli.fit import CLI
            from src.launch.launcher import Launch
            from src.launch.ranks import Ranks

            ranks = Ranks(launch := Launch())
            speak, leave = ranks.speak, ranks.leave
            if not launch.is_first:
                logging.getLogger("src").setLevel(logging.ERROR)  # rank 0 warns
            ranks.join(launch.environment)
            CLI(words, launch, ranks)
    except (StoppedError, KeyboardInterrupt, SystemExit) as end:
        if not (number := signal_of(end)):
            raise
        stopped = end if isinstance(end, StoppedError) else StoppedError(number)
        speak(str(stopped))
        return stopped.exit_code
    except Exception as error:
        if (explained := explain(error)) is None:
            raise
        if os.environ.get("MNIST_TRACEBACK"):
            traceback.print_exc()
        sentence, exit_code = explained
        speak(f"error: {with_flags(sentence) if not words or words[0] in FLAGS_OF_FIT else sentence}")
        return exit_code
    finally:
        leave()
        flush()
    return 0
