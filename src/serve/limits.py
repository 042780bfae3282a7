"""The limits of a request, so that no picture fills the memory and no page of another server uses this server."""

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from io import BytesIO

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from PIL.ImageFile import ImageFile
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.common.pictures import HEIF, NO_HEIC, NO_PICTURE, PictureError, identify

LARGEST_BODY, LARGEST_HEIC = 4 * 1024**2, 16 * 1024**2  # bytes; most browsers cannot make HEIC any smaller
LARGEST = 4096  # pixels of a picture's width and height, which HEIC, straight from a camera, may double
BODY_SECONDS = 30
MOST_HELD = 256 * 1024**2  # bytes of all bodies together
FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif", "BMP": "image/bmp"}
HEIC_TYPES = ("image/heic", "image/heif")
TYPES = (*FORMATS.values(), *HEIC_TYPES, "application/octet-stream")
"""The content types of requests, for formats that Pillow may open here; others start programs (EPS) or are rare."""

WRONG_TYPE = f"Send the picture itself as the body, with its Content-Type: {', '.join(TYPES)}."
TOO_LARGE = f"A picture may have at most {LARGEST_BODY // 1024**2} MB, as image/heic {LARGEST_HEIC // 1024**2} MB."
TOO_WIDE = f"A picture may have at most {LARGEST:,} x {LARGEST:,} pixels."
UNKNOWN = f"This is no picture that can be read here: send {', '.join(FORMATS)} or HEIC."

HEADERS = {
    # everything comes from this server; the pictures that the network sees are data: URLs, as are icons of Swagger UI
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Bodies:
    """The bodies of all requests, which must not fill the memory together."""

    def __init__(self) -> None:
        self.held = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Read a request's body, no further than its limits, and count it until the request is answered."""
        most = largest(request)
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    self.held += len(chunk)
                    if len(body) > most:  # even where the header said less
                        raise HTTPException(413, TOO_LARGE)
                    if self.held > MOST_HELD:
                        raise HTTPException(503, "The server holds too many pictures: send this one again.")
            yield bytes(body)
        except TimeoutError:
            raise HTTPException(408, f"The picture did not arrive within {BODY_SECONDS} seconds.") from None
        except asyncio.CancelledError:  # the time for requests under way is over
            raise HTTPException(503, "The server is ending.") from None
        except ClientDisconnect:
            raise HTTPException(400, "The connection ended before the picture did.") from None
        finally:
            self.held -= len(body)


def largest(request: Request) -> int:
    """Return how many bytes a request's body may have; HTTPException where its headers are refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise HTTPException(415, WRONG_TYPE)
    most = LARGEST_HEIC if kind in HEIC_TYPES else LARGEST_BODY
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise HTTPException(413, TOO_LARGE)
    return most


class Door:
    """Refuses requests that are not to be answered, and adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self.app = app
        self.names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = self.app
        if scope["type"] == "http" and (refused := refusal(HTTPConnection(scope), self.names)):
            app = JSONResponse({"detail": refused[1]}, refused[0], {"Connection": "close"})
        await app(scope, receive, send_with_headers)


def refusal(request: HTTPConnection, names: Collection[str]) -> tuple[int, str] | None:
    """Return the status and the reason where a request is refused, else None.

    The server may be called only by addresses and by ``names``: a page of the internet may have its own name lead here
    (DNS rebinding), or post to this server. A length that is given twice can smuggle a request past a proxy.
    """
    if {"content-length", "transfer-encoding"} <= {*request.headers.keys()}:
        return 400, "A request may not have both Content-Length and Transfer-Encoding."
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    name = host.rpartition(":")[0] if re.search(r":\d*$", host) else host
    if name.lower().rstrip(".") not in names and not is_address(name):
        return 421, "This server has another name: use its address, or start it with --allowed_hosts."
    if origin is not None and request.scope["method"] == "POST" and origin.partition("://")[2] != host:
        return 403, "Pages of another server may not use this one."
    return None


def is_address(name: str) -> bool:
    """Say whether a name is an IP address."""
    with suppress(ValueError):
        return bool(ipaddress.ip_address(name.removeprefix("[").removesuffix("]")))
    return False


def check_picture(body: bytes) -> ImageFile:
    """Identify a picture without decoding it; HTTPException if its format or size is not allowed."""
    try:
        picture = identify(BytesIO(body), (*FORMATS, HEIF))
    except PictureError as error:
        reasons = {NO_PICTURE: UNKNOWN, NO_HEIC: f"This is {NO_HEIC}."}
        raise HTTPException(415 if str(error) in reasons else 413, reasons.get(str(error), TOO_WIDE)) from None
    if max(picture.size) > LARGEST * (1 + (picture.format == HEIF)):
        raise HTTPException(413, TOO_WIDE)
    return picture
