"""A deadline for each connection and a limit on their number: none keeps the server from working or ending."""

import asyncio
import os
import socket
import threading
from types import FrameType

import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from src.common.system import open_files

GRACE_SECONDS = 10  # for requests under way, when the server ends
HEADER_SECONDS, ANSWER_SECONDS = 10, 60  # until a request has begun, and until its answer is taken
MOST_CONNECTIONS = int(min(512, open_files() // 2))
AT_ONCE = max(1, MOST_CONNECTIONS // 8)  # connections that asyncio takes at once, above the limit too for a moment
BACKLOG = 1_024  # connections that may wait


class Connection(H11Protocol):
    """A connection that is ended if it is one too many, sends no request or does not take its answer."""

    deadline: asyncio.TimerHandle | None = None
    answering: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, or end a connection that is one too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        self.set_deadline()

    @override
    def handle_events(self) -> None:
        super().handle_events()
        self.set_deadline()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.deadline:
            self.deadline.cancel()

    def set_deadline(self) -> None:
        """Set a new deadline when the connection begins to wait for a request, or to answer a request."""
        answering = None if self.cycle is None or self.cycle.response_complete else self.cycle
        if self.deadline is None or answering is not self.answering:
            if self.deadline:
                self.deadline.cancel()
            seconds = ANSWER_SECONDS if answering else HEADER_SECONDS
            self.answering, self.deadline = answering, self.loop.call_later(seconds, self.transport.abort)


class Server(uvicorn.Server):
    """A server that lets many connections wait, and ends GRACE_SECONDS after a signal, whatever its threads do."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ends: list[threading.Timer] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and let more connections wait than AT_ONCE."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Let requests under way end; at a second signal end at once."""
        timer = threading.Timer(1 if self.should_exit else GRACE_SECONDS + 1, os._exit, (0,))
        timer.daemon = True
        timer.start()
        self.ends.append(timer)
        super().handle_exit(sig, frame)
