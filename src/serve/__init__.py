"""``serve``: a page to draw digits on, and the trained network behind HTTP."""

import errno
import ipaddress
import signal
import socket

import torch

from src.common.errors import UsageError
from src.common.output import say, warn
from src.common.signals import STOPS
from src.data.datasets import DATASETS, DIGITS
from src.runs.trained import Trained


def serve(
    ckpt_path: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    allowed_hosts: list[str] | None = None,
) -> int:
    """Serve a page to draw digits on, and POST /predict for pictures of digits.

    Ctrl-C or SIGTERM ends the server once the requests under way are answered, or after ten seconds, with exit code 0.

    Args:
        ckpt_path: A checkpoint file, a run folder (its best checkpoint), or best or last of the newest run that has
            one. Left out, it is best, or before the first run the network that comes with the project.
        host: The address to listen on. The default is reachable only from this machine; 0.0.0.0 lets in everyone who
            reaches the machine, without a password.
        port: The port to listen on; 0 takes any free one.
        allowed_hosts: Names by which browsers may call the server, such as "[digits.lan]", besides localhost, this
            machine's name and any address. Other names are refused, because other people's pages can make a name
            lead here.
    """
    try:
        import uvicorn

        from src.serve.app import create_app
        from src.serve.connections import AT_ONCE, GRACE_SECONDS, Connection, Server
    except ModuleNotFoundError as error:
        raise UsageError(
            f'serve needs {error.name}, which is not installed: pip install --constraint constraints.txt ".[serve]"'
        ) from error
    trained = Trained.load(ckpt_path)
    if trained.classes != DIGITS or trained.dataset not in DATASETS:
        raise UsageError(
            f"--ckpt_path {trained.checkpoint} was trained on {trained.dataset} with {len(trained.classes)} classes, "
            f"{trained.classes[0]} to {trained.classes[-1]}; serve needs a network for the ten digits, as MNIST's."
        )
    listener = listen(host, port)
    config = uvicorn.Config(
        create_app(trained, [host, *(allowed_hosts or [])]),
        http=Connection,
        ws="none",
        lifespan="off",
        log_level="error",
        backlog=AT_ONCE,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config)
    name, number = listener.getsockname()[:2]
    address = ipaddress.ip_address(name)
    if not address.is_loopback:
        warn("everyone who reaches this machine can use the page: it has no password.")
    shown = "localhost" if address.is_unspecified else f"[{name}]" if address.version == 6 else name
    # at its end uvicorn raises the stop signal again, for the earlier handler
    before = {number: signal.signal(number, server.handle_exit) for number in STOPS}
    cores = torch.get_num_threads()
    torch.set_num_threads(1)  # sharing a few digits among threads is slower, by far where a core is busy
    try:
        say(f"Network  {trained.checkpoint}\nDraw on  http://{shown}:{number}/  (Ctrl-C ends it)")
        server.run([listener])
    finally:
        torch.set_num_threads(cores)
        for number, handler in before.items():
            signal.signal(number, handler)
        for end in server.ends:  # else it would end the program that called this function
            end.cancel()
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that a page opened from now on is answered."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port must be from 0 to 65535, got {port}.")
    try:
        *kind, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that is too long
        raise UsageError(f"--host {host} is not an address or a name that is known here; try 127.0.0.1.") from error
    # unlike create_server, this names the protocol: else asyncio leaves Nagle's algorithm on, 40 ms per answer
    listener = socket.socket(*kind)
    try:
        # with SO_REUSEADDR two programs could share a port on Windows
        option = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind(place)
        listener.listen()
    except OSError as error:
        listener.close()
        reasons = {
            errno.EADDRINUSE: f"--port {port} is in use; end the program there, or take another, such as {port + 1}.",
            errno.EACCES: f"--port {port} needs special rights; take one from 1024 up.",
        }
        default = f"--host {host} cannot be listened on: it is no address of this machine; try 127.0.0.1."
        raise UsageError(reasons.get(error.errno or 0, default)) from error
    return listener
