"""The HTTP side: one picture in, one answer out."""

import base64
import os
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from PIL.ImageFile import ImageFile
from pydantic import BaseModel, Field
from torch import Tensor

from src.common.drawing import to_png
from src.common.errors import RunError
from src.common.pictures import PictureError
from src.digits.number import read_number
from src.digits.reading import Reading
from src.runs.trained import Trained
from src.serve.limits import HEADERS, TYPES, Bodies, Door, check_picture

DESCRIPTION = "A network trained on MNIST reads the digit or the number in a picture."
PAGE = Path(__file__).parent / "page"
SMALL_BODY, SMALL_SIDE = 4096, 128  # bytes and pixels of a picture that a thread, its caches cold, answers more slowly


class Digit(BaseModel):
    """A digit as the network reads it."""

    digit: int = Field(ge=0, le=9, description="The most probable digit.", examples=[7])
    confidence: float = Field(description="Its probability.")
    unsure: bool = Field(description="Whether a person should check it: low confidence, or as wide as two digits.")
    box: list[int] = Field(min_length=4, max_length=4, description="Left, top, right and bottom in the picture.")
    probabilities: list[float] = Field(min_length=10, max_length=10, description="Of the digits 0 to 9; they sum to 1.")
    picture: str = Field(description="The 28x28 grey pixels that the network saw, as the data URL of a PNG.")


class Answer(BaseModel):
    """A picture as the network reads it."""

    number: str = Field(description="The digits as read, lines separated by a slash.", examples=["7", "123/45"])
    confidence: float = Field(description="The confidence of the least sure digit.")
    unsure: bool = Field(description="Whether one of its digits is unsure.")
    digits: list[Digit] = Field(description="In reading order.")
    model: str = Field(description="The network and its run.", examples=["MLP 784-256-10, version_0, best"])


class Health(BaseModel):
    """A server that answers."""

    status: str = Field(examples=["ok"])
    model: str


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="One sentence.")


BODY = {"required": True, "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in TYPES}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": Refusal, "description": meaning}
    for code, meaning in (
        (400, "The request is damaged, or ended before its body"),
        (403, "Sent by a page of another server"),
        (408, "The body took too long"),
        (413, "More than 4 MB, or more than 4,096 pixels wide or high; HEIC: 16 MB, 8,192 pixels"),
        (415, "Not a picture, or none of these formats"),
        (421, "The server has another name than the request says"),
        (422, "A damaged picture, no digit in it, or more than one number"),
        (500, "The network cannot answer, or the server made a mistake"),
        (503, "The server is ending"),
    )
}


def create_app(trained: Trained, names: Collection[str] = ()) -> FastAPI:
    """Return the application; the server may be called by ``names``, addresses, localhost and this machine's name."""
    model = trained.name
    threads = CapacityLimiter(os.cpu_count() or 1)  # more would only hold more decoded pictures at once
    bodies = Bodies()
    machine = socket.gethostname()
    names = {name.lower() for name in ("localhost", machine, f"{machine}.local", *names)}
    about = {"title": "Digits", "version": "1", "summary": DESCRIPTION}
    # a redirect would lead to any Host that a request names
    app = FastAPIOffline(None, None, **about, static_url="/swagger", redirect_slashes=False)
    app.add_middleware(Door, names=names)
    app.mount("/page", StaticFiles(directory=PAGE))

    @app.post(
        "/predict",
        response_model=Answer,
        responses=REFUSALS,
        openapi_extra={"requestBody": BODY},
        summary="Read a number",
    )
    async def predict(request: Request) -> Response:
        """Send a picture of a digit or a number as the body: of any size, dark on light or light on dark."""
        async with bodies.read(request) as body:
            if len(body) <= SMALL_BODY and max((picture := check_picture(body)).size) <= SMALL_SIDE:
                result = answer(trained, model, picture)
            else:
                result = await to_thread.run_sync(
                    lambda: answer(trained, model, check_picture(body)), abandon_on_cancel=True, limiter=threads
                )
        return Response(result.model_dump_json(), media_type="application/json")

    @app.get("/health", summary="Ask whether the server answers")
    async def health() -> Health:
        """Say which model answers."""
        return Health(status="ok", model=model)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(PAGE / "docs.html")

    @app.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": "The server made a mistake; its own output has the details."}, 500, HEADERS)

    return app


def answer(trained: Trained, model: str, picture: ImageFile) -> Answer:
    """Return the number in a picture as the network reads it; HTTPException if there is none."""
    try:
        lines = read_number(picture)
    except PictureError as error:
        raise HTTPException(422, f"This picture cannot be read: {error}.") from None
    try:
        _, probabilities = trained.answer(torch.stack([digit.pixels for line in lines for digit in line]))
    except RunError:  # its sentence names the checkpoint's file, which is none of the client's business
        raise HTTPException(500, "The network's logits are not finite: start the server with another one.") from None
    reading = Reading.of(lines, iter(probabilities), trained.classes)
    digits = [
        Digit(**plain, probabilities=answer.probabilities, picture=data_url(answer.digit.pixels))
        for plain, answer in zip(reading.digits, reading.answers, strict=True)
    ]
    least = reading.least_sure.confidence
    return Answer(number=reading.text, confidence=least, unsure=reading.unsure, digits=digits, model=model)


def data_url(pixels: Tensor) -> str:
    """Return a picture as the data URL of a PNG."""
    return f"data:image/png;base64,{base64.b64encode(to_png(pixels.numpy())).decode()}"
