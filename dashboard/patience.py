"""Closes connections on which a request was begun and is not ended: anybody could hold as many open as there may be."""

from __future__ import annotations

import asyncio
from typing import Any

REQUEST_S = 30.0
"""How long the head of a request may take in all, and each next piece of its body."""


def impatient(seconds: float = REQUEST_S) -> type[asyncio.Protocol]:
    """What speaks HTTP for uvicorn, and waits no longer than that for a whole request."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    class Impatient(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        """One connection."""

        late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._wait_no_more()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            answering = self.cycle is not None and not self.cycle.response_complete
            if answering:
                self._wait_no_more()
            if self.late is None and not (answering and not self.cycle.more_body):
                self._wait()

        def _wait(self) -> None:
            self.late = self.loop.call_later(seconds, self._give_up)

        def _wait_no_more(self) -> None:
            if self.late is not None:
                self.late.cancel()
                self.late = None

        def _give_up(self) -> None:
            self.late = None
            if self.transport.get_protocol() is self:  # a websocket has one of its own
                self.transport.close()

    return Impatient
