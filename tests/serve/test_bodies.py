"""Bodies that are too large, without end, late or many: what is read of them, and when it ends."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import fastapi
import pytest
from fastapi import HTTPException

from src.serve import limits


def request(receive: Callable[[], object], **headers: str) -> fastapi.Request:
    async def wait() -> Any:
        result = receive()
        return await result if asyncio.iscoroutine(result) else result

    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return fastapi.Request({"type": "http", "headers": [(b"content-type", b"image/png"), *raw]}, wait)


async def read_body(some: fastapi.Request) -> bytes:
    async with limits.Bodies().read(some) as body:
        return body


@pytest.mark.parametrize("headers", [{}, {"content_length": "10"}, {"content_length": "²"}])
def test_a_body_without_end_is_refused_while_it_comes_in(headers: dict[str, str]) -> None:
    size, chunks = 65_536, []

    def receive() -> dict[str, object]:
        chunks.append(size)
        return {"type": "http.request", "body": bytes(size), "more_body": True}

    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(request(receive, **headers)))

    assert refused.value.status_code == 413
    assert sum(chunks) == limits.LARGEST_BODY + size


def test_a_body_that_is_said_to_be_too_large_is_not_read() -> None:
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(request(lambda: pytest.fail("read"), content_length=str(limits.LARGEST_BODY + 1))))

    assert refused.value.status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0)
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(request(lambda: asyncio.sleep(3_600))))

    assert refused.value.status_code == 408


def test_who_hangs_up_is_no_mistake_of_ours() -> None:
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(request(lambda: {"type": "http.disconnect"})))

    assert refused.value.status_code == 400


def test_many_bodies_do_not_fill_the_memory() -> None:
    bodies = limits.Bodies()
    size = 2**20

    async def hold() -> None:
        half = iter([{"type": "http.request", "body": bytes(size), "more_body": True}])
        async with bodies.read(request(lambda: next(half, None) or asyncio.sleep(3_600))):
            pass

    async def hold_many() -> list[int]:
        tasks = [asyncio.create_task(hold()) for _ in range(limits.MOST_HELD // size + 20)]
        await asyncio.sleep(0.5)
        assert bodies.held <= limits.MOST_HELD
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [cast(HTTPException, result).status_code for result in results if "too many" in str(result)]

    assert asyncio.run(hold_many()) == [503] * 20
    assert bodies.held == 0
