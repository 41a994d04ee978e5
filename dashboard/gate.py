"""The gate in front of every page and connection: which names it answers to, who is let in, what browsers are told."""

from __future__ import annotations

import asyncio
import html
import ipaddress
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode

from core.settings import Settings
from dashboard import door, sign_in
from dashboard.door import Session, Way
from dashboard.password import FORM, MOST_BYTES, SIGN_OUT, WRONG, Passwords, is_ours
from dashboard.sign_in import SignedIn

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAID = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}
_PROBES = ("/readyz", "/_stcore/health")
"""Tell yes or no, and nothing else, to anybody; the first one answers to any name: a probe knows an address alone."""
_METRICS = "/metrics"
_OURS = tuple(name.encode() for name in (door.VOUCHER_HEADER, door.NAME_HEADER, door.SESSION_HEADER, door.SAID_HEADER))
WHERE_THE_LINK_IS = (
    "It was started with a link, which it printed where it runs: in that terminal, or in its log. Open that link in"
    " this browser once; it holds until the dashboard is stopped."
)


class Gate:
    """Refuses names that are not in server.allowedHosts, lets in who has shown who it is, and vouches for them."""

    def __init__(self, app: ASGIApp, settings: Settings, way: Way, address: str, base: str) -> None:
        self._app = app
        self._settings = settings
        self._way = way
        self._address = address
        self._passwords = Passwords(settings)
        self._places = tuple(dict.fromkeys(("", f"/{base}" if base else "")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or one websocket; whether a website may open that one is Streamlit's own to refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        from starlette.datastructures import Headers, MutableHeaders

        headers = Headers(scope=scope)
        said = {**_SAID, **(_OVER_TLS if self._is_tls(scope, headers) else {})}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if said.keys() & _OVER_TLS.keys():
                    message = {**message, "headers": [_secured(*pair) for pair in message["headers"]]}
                MutableHeaders(scope=message).update(said)
            await send(message)

        refused = await self._answer_to_form(scope, headers, receive) or self._refused(scope, headers)
        if refused is None:
            await self._app(self._vouched(scope, headers), receive, answer)
        elif scope["type"] == "http":
            await refused(scope, receive, answer)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _answer_to_form(self, scope: Scope, headers: Headers, receive: Receive) -> Response | None:
        """What a name and a password are answered with; None for any other request."""
        from starlette.requests import Request
        from starlette.responses import RedirectResponse
        from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

        if self._way is not Way.ACCOUNT or scope["type"] != "http" or not is_host_allowed(headers.get("host")):
            return None
        top = f"{self._places[-1]}/"
        if self._is(scope, SIGN_OUT):
            self._passwords.sign_out(_cookie(headers, _cookie_name(scope)))
            return RedirectResponse(top, 303, {"Cache-Control": "no-store"})
        if not self._is(scope, sign_in.SIGN_IN) or scope["method"] != "POST":
            return None
        if not is_ours(headers.get("origin"), headers.get("host")):
            return self._form("This was sent from elsewhere.")
        body = b""
        async for part in Request(scope, receive).stream():
            body += part
            if len(body) > MOST_BYTES:
                return self._form(WRONG)
        found = await asyncio.to_thread(self._passwords.sign_in, body, (scope.get("client") or ("",))[0])
        if isinstance(found, str):
            return self._form(found)
        known = RedirectResponse(top, 303, {"Cache-Control": "no-store"})
        known.set_cookie(
            _cookie_name(scope), found[0], httponly=True, samesite="strict", secure=self._is_tls(scope, headers)
        )
        return known

    def _form(self, why: str) -> Response:
        return _page(why, more=FORM.format(at=f"{self._places[-1]}{sign_in.SIGN_IN}"))

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """What is answered in place of a page; None for who is let in."""
        from starlette.responses import PlainTextResponse
        from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

        probe = self._is(scope, *_PROBES)
        if not self._is(scope, _PROBES[0]) and not is_host_allowed(headers.get("host")):
            return PlainTextResponse("This dashboard does not answer to that name: server.allowedHosts\n", 400)
        if probe:
            return None
        if self._is(scope, _METRICS) and self._may_scrape(scope, headers):
            return None
        why = door.closed_because(self._way, self._address, headers.keys())
        if why is None and self._way is Way.LINK and self._came_by_the_link(scope):
            return self._welcome(scope, headers)
        if why is None and self._way is Way.SIGN_IN:
            return self._not_signed_in(scope)
        known = why is None and self._visitor(scope, headers) is not None
        if not known and why is None and self._way is Way.ACCOUNT:
            return self._form("This dashboard asks who is there.")
        return None if known else _page(why or self._explained())

    def _not_signed_in(self, scope: Scope) -> Response | None:
        """The sign-in page for who is not known; who signs out has done so in every tab."""
        from starlette.requests import HTTPConnection
        from starlette.responses import RedirectResponse

        base = scope["path"].removesuffix(sign_in.SIGN_IN)
        if self._is(scope, sign_in.SIGN_IN):
            return RedirectResponse(f"{base}{sign_in.login_path()}", 303, {"Cache-Control": "no-store"})
        found = sign_in.signed_in(self._settings, HTTPConnection(scope).cookies)
        if self._is(scope, *sign_in.ROUTES):
            if self._is(scope, sign_in.LOGOUT) and isinstance(found, SignedIn):
                found.session.end()
            return None
        return (
            _page(found or "This dashboard asks who is there.", f"{self._places[-1]}{sign_in.SIGN_IN}")
            if isinstance(found, str)
            else None
        )

    def _is(self, scope: Scope, *paths: str) -> bool:
        return any(scope["path"] == f"{place}{path}" for place in self._places for path in paths)

    def _may_scrape(self, scope: Scope, headers: Headers) -> bool:
        """Figures name tables: they are for this machine, or for who has the token of the settings."""
        token = self._settings.metrics_token
        if token:
            return _same(headers.get("authorization", ""), f"Bearer {token}")
        return (
            _is_from(scope, "127.0.0.0/8", "::1")
            and door.is_loopback(self._address)
            and door.closed_because(Way.OPEN, self._address, headers.keys()) is None
        )

    def _visitor(self, scope: Scope, headers: Headers) -> tuple[str, ...] | None:
        """Who it is, by which sign-in and what it said; no name is whoever runs this, None is who has not shown it."""
        if self._way is Way.SIGN_IN:
            from starlette.requests import HTTPConnection

            found = sign_in.signed_in(self._settings, HTTPConnection(scope).cookies)
            return (
                (found.name, str(found.session), quote(str(found.said or ""))) if isinstance(found, SignedIn) else None
            )
        if self._way is Way.ACCOUNT:
            account = self._passwords.visitor(_cookie(headers, _cookie_name(scope)))
            return (account[0], str(account[1])) if account else None
        if self._way is Way.LINK:
            return ("", "") if _same(_cookie(headers, _cookie_name(scope)), door.COOKIE) else None
        if self._way is Way.HEADER:
            said = headers.getlist(self._settings.user_header)
            named = _text(said[0]) if len(said) == 1 else ""
            if not named or not _is_from(scope, *self._settings.proxies):
                return None
            return named, str(Session("", time.time() + self._settings.session_s))
        return ("", "") if self._way is Way.OPEN else None

    def _vouched(self, scope: Scope, headers: Headers) -> Scope:
        """The request with who it is, told in a way that nobody outside can."""
        kept = [(name, value) for name, value in scope["headers"] if name.lower() not in _OURS]
        closed = door.closed_because(self._way, self._address, headers.keys())
        known = None if closed else self._visitor(scope, headers)
        if known is not None:
            name, *others = known
            told = (door.VOUCHER, quote(name), *others)
            kept += zip(_OURS, (text.encode() for text in told), strict=False)  # not every way tells all
        return {**scope, "headers": kept}

    def _came_by_the_link(self, scope: Scope) -> bool:
        asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        return scope["type"] == "http" and scope["method"] == "GET" and _same(asked.get("token", ""), door.LINK)

    def _welcome(self, scope: Scope, headers: Headers) -> Response:
        """To the page that the link names, without the token, which a cookie stands for from here on."""
        from starlette.responses import RedirectResponse

        left = [pair for pair in parse_qsl(scope["query_string"].decode("latin-1")) if pair[0] != "token"]
        path = "/" + scope["path"].lstrip("/")  # one that begins with two would be another host
        found = RedirectResponse(f"{path}?{urlencode(left)}" if left else path, 303, {"Cache-Control": "no-store"})
        found.set_cookie(
            _cookie_name(scope), door.COOKIE, httponly=True, samesite="strict", secure=self._is_tls(scope, headers)
        )
        return found

    def _explained(self) -> str:
        if self._way is Way.HEADER:
            return "The sign-in in front of this dashboard has not said who you are. Come by its address."
        return f"This dashboard asks who is there. {WHERE_THE_LINK_IS}"

    def _is_tls(self, scope: Scope, headers: Headers) -> bool:
        """Whether the browser speaks TLS: with us, with the proxy that the settings name, or by our own address."""
        if self._settings.provider is not None and self._settings.provider.address.startswith("https:"):
            return True
        if scope["scheme"] in ("https", "wss"):
            return True
        return headers.get("x-forwarded-proto") == "https" and _is_from(scope, *self._settings.proxies)


def _is_from(scope: Scope, *networks: str) -> bool:
    """Whether the connection itself comes from one of these; what a header says of it counts for nothing."""
    try:
        peer = ipaddress.ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return False
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return any(peer in ipaddress.ip_network(network) for network in networks)


def _text(header: str) -> str:
    """A header's bytes, which are UTF-8 where they are no ASCII; empty for what is no text."""
    try:
        return header.encode("latin-1").decode().strip()
    except UnicodeError:
        return ""


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(errors="surrogateescape"), wanted.encode())


def _cookie_name(scope: Scope) -> str:
    """Browsers keep the cookies of all ports of a machine together."""
    return f"partition_desk_{(scope.get('server') or ('', ''))[1]}"


def _cookie(headers: Headers, name: str) -> str:
    for pair in headers.get("cookie", "").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return ""


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Partition Desk</title>
<style>:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 36rem; margin: 20vh auto; padding: 0 1rem }}</style></head>
<body><h1>Partition Desk</h1><p>{why}</p>{more}</body></html>
"""


def _page(why: str, sign_in_at: str = "", *, more: str = "") -> Response:
    from starlette.responses import HTMLResponse

    more = more or (f'<p><a href="{html.escape(sign_in_at)}">Sign in</a></p>' if sign_in_at else "")
    return HTMLResponse(_PAGE.format(why=html.escape(why), more=more), 403, {"Cache-Control": "no-store"})


def _secured(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A header of an answer over TLS: no cookie goes another way."""
    if name.lower() == b"set-cookie" and b"; secure" not in value.lower():
        return name, value + b"; Secure"
    return name, value
