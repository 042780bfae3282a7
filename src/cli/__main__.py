"""Start-up and exit of ``python -m src.cli``; the commands themselves begin in main.py."""

# ruff: noqa: E402
import atexit
import gc
import os
import signal
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import NoReturn

exit_code = 1  # stays 1 if an exception ends the process


def leave() -> None:
    """End the process without freeing each object, which would take another second."""
    from src.common.output import flush

    flush()
    os._exit(exit_code)


def stop_importing(*_: object) -> NoReturn:
    """End on Ctrl-C during the imports without a traceback; there is nothing to save yet."""
    os.write(2, b"Stopped by SIGINT.\n")
    os._exit(128 + signal.SIGINT)


if not __package__:
    print("error: src/cli is a package: run python -m src.cli in the project's folder.", file=sys.stderr)
    sys.exit(2)
if find_spec("lightning") is None:
    activate = r".venv\Scripts\activate" if os.name == "nt" else "source .venv/bin/activate"
    way_out = f"{activate}; if .venv is missing, or its folder was moved, make it anew (README.md)"
    print(f"error: {sys.executable} has no Lightning: {way_out}.", file=sys.stderr)
    sys.exit(2)
atexit.register(leave)  # registered first, so called last
if (on_interrupt := signal.getsignal(signal.SIGINT)) is signal.default_int_handler:
    signal.signal(signal.SIGINT, stop_importing)
from src.common.system import yield_to_others

yield_to_others()
gc.disable()  # the imports make 700,000 objects and no garbage; collections would take a fifth of their time

from src.cli.commands import module_of
from src.cli.main import main

import_module(module_of(sys.argv[1:]))
signal.signal(signal.SIGINT, on_interrupt)
gc.freeze()  # imported objects never become garbage, so later collections need not visit them
gc.enable()

try:
    exit_code = main()
except SystemExit as end:  # --help
    exit_code = int(end.code or 0)
if sys.argv[1:2] == ["serve"]:  # a thread that still reads a picture would keep the process alive
    leave()
sys.exit(exit_code)
