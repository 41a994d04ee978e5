"""What every answer of the dashboard's server says to browsers, and which names it answers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAID = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}
_FOR_ANYBODY = "/readyz"
"""Tells a probe, which knows an address alone, nothing but yes or no."""
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via")
"""What a proxy adds to a request that it passes on."""


class Gate:
    """Refuses names that are not in server.allowedHosts, and has no page put into a frame of another site's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; websockets are Streamlit's own to refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from starlette.datastructures import Headers, MutableHeaders
        from starlette.responses import PlainTextResponse
        from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

        said = {**_SAID, **(_OVER_TLS if scope["scheme"] == "https" else {})}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(said)
            await send(message)

        app = self._app
        if not scope["path"].endswith(_FOR_ANYBODY) and not is_host_allowed(Headers(scope=scope).get("host")):
            app = PlainTextResponse("This dashboard does not answer to that name: server.allowedHosts\n", 400)
        await app(scope, receive, answer)
