"""Requests that would keep a server busy: begun and not gone on with, sent slowly, or whose answers nobody takes."""

import asyncio
import socket
import time
from contextlib import suppress

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 4000000\r\n\r\n"
UNFINISHED = {
    "nothing": b"",
    "half a line": b"GET / HT",
    "half a header": b"GET / HTTP/1.1\r\nHost: loc",
    "half a body": HEAD,
}
TWO_LENGTHS = (  # the second request may be the first one's body
    b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
)


def drip(connection: socket.socket, begin: bytes) -> None:
    """Begin a request and send a byte at a time, for ten seconds.

    Raises:
        ConnectionError: When the server ends the connection.
    """
    connection.sendall(begin)
    for _ in range(200):
        time.sleep(0.05)
        connection.sendall(b"a")


def ask_and_take_nothing(connection: socket.socket, address: tuple[str, int]) -> None:
    """Ask for answers and read none of them.

    Raises:
        TimeoutError: When the server stops reading.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(address)
    connection.settimeout(0.5)
    for _ in range(1_000):
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)


async def keep_open(host: str | None, port: int | None, begin: bytes) -> None:
    """Open connections, one after the other, that send nothing, or the beginning of a request and slowly its body."""
    while True:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(begin)
        with suppress(TimeoutError, ConnectionError):
            while not reader.at_eof():
                if begin:
                    writer.write(b"x" * 100)
                await asyncio.wait_for(reader.read(1_000), 0.2)
        writer.close()
