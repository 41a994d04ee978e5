"""Starts the dashboard: the embedded demo server where DATABASE_URL names no other, then Streamlit, until Ctrl-C.

python -m dashboard [--port 8502]
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn
from zoneinfo import ZoneInfo

from core.console.worker import stop_workers
from core.demo import fill_embedded
from core.errors import DeskError, Refused, SettingError
from core.postgres.connection import answers
from core.postgres.embedded import running_server
from core.settings import Settings, read_settings
from dashboard.door import LINK, Way, is_loopback, way
from dashboard.sign_in import secrets_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

ROOT = Path(__file__).parents[1]
LOOPBACK = "127.0.0.1"
READY_S = 2.0
"""How long the database may take to answer /readyz."""
GRACE_S = 2
"""How long open connections may take to end once the dashboard is stopped."""
PATIENCE_S = 5.0
"""How long operations that run may take to end then."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0 once it was stopped, 1 where it can't start, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m dashboard", description="Starts the dashboard; Ctrl-C stops it.")
    parser.add_argument("--port", type=int, help="the port to listen on (default: 8501, or STREAMLIT_SERVER_PORT)")
    port: int | None = parser.parse_args(arguments).port
    _on_stop(signal.default_int_handler)
    try:
        _run(read_settings(), port)
    except DeskError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _leave_within(seconds: float) -> None:
    """Lets operations that run end by themselves for so long; Python would wait for as long as they do."""

    def leave() -> None:
        print(
            "An operation was left running: Activity shows it as interrupted and offers to resume it.", file=sys.stderr
        )
        sys.stderr.flush()
        os._exit(0)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def _on_stop(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Has Ctrl-C, SIGTERM and a closed terminal handled alike; nohup's wish is kept."""
    signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, handler)


def _run(settings: Settings, port: int | None) -> None:
    # Streamlit reads .streamlit/config.toml of the current folder, wherever this was started from.
    os.chdir(ROOT)
    with ExitStack() as stack:
        # Taken before anything is started; who comes early is served once all is up.
        _configure(port)
        listener = stack.enter_context(_listen())
        _require_own_machine(settings)
        _require_secret_passwords(settings)
        if settings.database_url is None:
            url = stack.enter_context(running_server(settings.home))
            stack.callback(_let_it_stop)
            _fill(url, settings)
            os.environ["DATABASE_URL"] = url
            os.environ["PARTITION_DESK_EMBEDDED"] = "1"
        _serve(listener, settings)
        stop_workers()
    _leave_within(PATIENCE_S)


def _let_it_stop() -> None:
    """From here on another Ctrl-C does nothing: it would leave the embedded server running."""
    _on_stop(signal.SIG_IGN)


def _fill(url: str, settings: Settings) -> None:
    try:
        seconds = fill_embedded(
            url,
            today=datetime.now(ZoneInfo(settings.time_zone)).date(),
            archive_schema=settings.archive_schema,
            begin=lambda: print("Filling the demo database (once) ...", flush=True),
        )
    except Refused as error:
        print(f"The demo was left out. {error}", file=sys.stderr)
        return
    if seconds is not None:
        print(f"Filled in {seconds:.1f} s.", flush=True)


# --- listening ------------------------------------------------------------------------------------------------------


def _configure(port: int | None) -> None:
    """Sets Streamlit's options as `streamlit run` does: its file, then STREAMLIT_..., then --port."""
    import click
    from streamlit import config
    from streamlit.web import bootstrap
    from streamlit.web.cli import configurator_options

    @click.command
    @configurator_options
    def read(**options: object) -> dict[str, object]:
        return options

    try:
        options = read.main([], standalone_mode=False)
    except click.ClickException as error:
        raise SettingError(error.format_message(), safe="") from error
    bootstrap.load_config_options({**options, **({} if port is None else {"server_port": port})})
    if not config.get_option("server.address"):
        config.set_option("server.address", LOOPBACK)  # Streamlit's own default is every address


def _listen() -> socket.socket:
    """The socket of server.address and server.port. Raises SettingError where it can't be had."""
    from streamlit import config

    address = str(config.get_option("server.address"))
    number = int(config.get_option("server.port"))
    try:
        family, _, _, _, where = socket.getaddrinfo(address, number, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server((str(where[0]), number), family=family)
    except (OSError, OverflowError) as error:
        _refuse(address, number, error)
    config.set_option("server.port", listener.getsockname()[1])  # port 0 is any that is free
    return listener


def _refuse(address: str, port: int, error: OSError | OverflowError) -> NoReturn:
    code = error.errno if isinstance(error, OSError) and not isinstance(error, socket.gaierror) else None
    if code == errno.EADDRINUSE:
        raise SettingError(
            f"Port {port} on {address} is taken, perhaps by a Partition Desk that runs already.",
            safe="",
            next=f"Stop what listens there, or choose another port: STREAMLIT_SERVER_PORT={port + 1} make run.",
        ) from error
    if code == errno.EACCES:
        raise SettingError(f"Port {port} is reserved for root.", safe="", next="Choose one from 1024 up.") from error
    if isinstance(error, OverflowError):
        raise SettingError(f"{port} is not a port.", safe="", next="Choose one from 1024 to 65535.") from error
    raise SettingError(
        f"This machine can't listen on the address {address}: {error.strerror}.",
        safe="",
        next="Set STREAMLIT_SERVER_ADDRESS to one of its own, or leave it unset.",
    ) from error


# --- serving --------------------------------------------------------------------------------------------------------


def _serve(listener: socket.socket, settings: Settings) -> None:
    """Serves dashboard/app.py on the socket until a signal comes; whatever is open then has GRACE_S to end."""
    import streamlit as st
    import uvicorn
    from starlette.middleware import Middleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    from dashboard.gate import Gate
    from dashboard.metrics import CONTENT_TYPE, Scraper
    from dashboard.patience import impatient

    scraper = Scraper(settings)
    found = _way(settings)

    async def metrics(_request: Request) -> Response:
        headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
        return PlainTextResponse(await scraper.text(), headers=headers)

    class Server(uvicorn.Server):
        """Tells its address once it answers, and ends quietly; uvicorn's own raises each signal once more."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                print(f"Partition Desk is at {_link(listener, found)} (Ctrl-C stops it)", flush=True)

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            def stop(_number: int, _frame: FrameType | None) -> None:
                self.should_exit = True

            _on_stop(stop)
            yield

    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    places = ("", f"/{base}") if base else ("",)  # a proxy in front may leave the path in, or take it away
    routes = [
        Route(f"{place}/{name}", said) for place in places for name, said in (("readyz", _readyz), ("metrics", metrics))
    ]
    gate = Middleware(Gate, settings=settings, way=found, address=st.get_option("server.address"), base=base)
    app = st.App(ROOT / "dashboard" / "app.py", routes=routes, middleware=[gate], secrets=secrets_of(settings))
    options = uvicorn.Config(
        app,
        http=impatient(),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        proxy_headers=False,  # the gate asks where a connection itself comes from
        ssl_certfile=st.get_option("server.sslCertFile"),
        ssl_keyfile=st.get_option("server.sslKeyFile"),
        timeout_graceful_shutdown=GRACE_S,
        log_level="warning",
        use_colors=False,
    )
    threading.Thread(target=_begin, daemon=True).start()
    Server(options).run(sockets=[listener])


def _begin() -> None:
    """Loads what the first page would wait for, and starts the worker: what is planned waits for no visitor."""
    from dashboard.state import database

    for name in ("pandas", "altair", "core.backups.kept", "core.doctor.examine", "core.growth.read"):
        import_module(name)
    with suppress(SettingError):  # a page says it to whoever comes
        database.opened()
    # What is loaded stays, and so do tables that are read: looking for rubbish among it takes a quarter of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 10)


def _address(listener: socket.socket) -> str:
    import streamlit as st

    host, port = listener.getsockname()[:2]
    scheme = "https" if st.get_option("server.sslCertFile") else "http"
    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{f'/{base}' if base else ''}"


def _way(settings: Settings) -> Way:
    """How it is asked who is there."""
    from streamlit import config

    embedded = os.environ.get("PARTITION_DESK_EMBEDDED") == "1"
    return way(settings, config.get_option("server.address"), embedded=embedded)


def _link(listener: socket.socket, found: Way) -> str:
    """Where to go; with the token where that is how whoever comes is known."""
    address = _address(listener)
    return f"{address}/?token={LINK}" if found is Way.LINK else address


def _require_own_machine(settings: Settings) -> None:
    """Raises SettingError where nobody is to be asked who is there, and others can come."""
    from streamlit import config

    address = config.get_option("server.address")
    if settings.open and not is_loopback(address):
        raise SettingError(
            f"PARTITION_DESK_OPEN asks nobody who is there, and this is to listen on {address}.",
            safe="",
            next="Have it listen on 127.0.0.1, or set up a sign-in: README, Who may act.",
        )


def _require_secret_passwords(settings: Settings) -> None:
    """Raises SettingError where passwords would go over a network as they are."""
    from streamlit import config

    tls = config.get_option("server.sslCertFile") or settings.proxies
    if settings.accounts and not tls and not is_loopback(config.get_option("server.address")):
        raise SettingError(
            "PARTITION_DESK_ACCOUNTS would have passwords go over the network without TLS.",
            safe="",
            next="Set STREAMLIT_SERVER_SSL_CERT_FILE and its key, or PARTITION_DESK_PROXY to what speaks TLS in front.",
        )


async def _readyz(_request: Request) -> Response:
    """200 while the database answers, 503 otherwise; where and who is not told."""
    from starlette.responses import PlainTextResponse

    try:
        ready = await asyncio.wait_for(asyncio.to_thread(answers, os.environ.get("DATABASE_URL", "")), READY_S)
    except TimeoutError:
        ready = False
    words = "The database answers." if ready else "The database does not answer."
    return PlainTextResponse(words + "\n", status_code=200 if ready else 503, headers={"Cache-Control": "no-store"})


if __name__ == "__main__":
    sys.exit(main())
