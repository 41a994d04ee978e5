"""A request that is begun and not ended is given up; one that is whole is answered, and the connection goes on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from dashboard.patience import impatient

WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def _app(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def answer(opened: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"ok"):
        piece = opened.recv(1000)
        assert piece, found
        found += piece
    return found


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(_app, http=impatient(0.3), lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(10)


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HT", WHOLE[:-2], b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"],
    ids=["nothing", "a word", "a head without its end", "half a body"],
)
@pytest.mark.parametrize("before", [0, 1], ids=["at once", "after a whole one"])
def test_half_a_request_is_closed(address: tuple[str, int], begun: bytes, before: int) -> None:
    with socket.create_connection(address, timeout=20) as opened:
        for _ in range(before):
            opened.sendall(WHOLE)
            assert b" 200 " in answer(opened)
        if before and not begun:
            return  # how long an idle connection is kept is uvicorn's to say
        opened.sendall(begun)
        while opened.recv(1000):  # until it is closed
            pass


def test_a_whole_request_is_answered_and_the_connection_goes_on(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=20) as opened:
        for _ in range(3):
            opened.sendall(WHOLE[:10])
            opened.sendall(WHOLE[10:])
            assert b" 200 " in answer(opened)
