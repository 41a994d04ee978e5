"""An S3 of this machine for tests: moto's server as a process of its own, and a network that breaks on its way."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_COUNTER = itertools.count(1)
SECRET = "wJalrXUtnFEMI-K7MDENG-EXAMPLESECRET"
"""The secret key of every test: to be found nowhere else."""
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class S3:
    """A bucket of its own for one test."""

    endpoint: str
    bucket: str
    url: str
    """As BACKUP_URL has it, a prefix included."""
    environ: Mapping[str, str] = field(default_factory=dict)
    """What a command needs in its environment to get there."""

    def through(self, endpoint: str) -> Mapping[str, str]:
        """The environment with another endpoint."""
        return {**self.environ, "AWS_ENDPOINT_URL": endpoint}

    def client(self) -> Any:
        """boto3's client, who sees what is there without the console's help."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id="AKTEST",
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(proxies={}),
        )


class ObjectServer:
    """moto's server on a free port of the loopback interface; `close` stops it."""

    def __init__(self) -> None:
        for _ in range(3):  # another process may take the port first
            port = free_port()
            self.endpoint = f"http://127.0.0.1:{port}"
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if self._answers():
                return
            self.close()
        raise AssertionError("moto's server does not start")

    def make_bucket(self) -> S3:
        """A new, empty bucket."""
        bucket = f"pd-{os.getpid()}-{next(_COUNTER)}"
        request = urllib.request.Request(f"{self.endpoint}/{bucket}", method="PUT")
        NO_PROXY.open(request, timeout=20).close()
        environ = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKTEST",
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        return S3(self.endpoint, bucket, f"s3://{bucket}/desk", environ)

    def forget(self) -> None:
        """Frees the memory that every bucket so far takes."""
        NO_PROXY.open(urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST"), timeout=20).close()

    def close(self) -> None:
        """Stops it."""
        self._process.kill()
        self._process.wait()

    def _answers(self, patience_s: float = 60) -> bool:
        give_up = time.monotonic() + patience_s
        while self._process.poll() is None and time.monotonic() < give_up:
            try:
                NO_PROXY.open(f"{self.endpoint}/moto-api/", timeout=5).close()
            except OSError:
                time.sleep(0.05)
            else:
                return True
        return False


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


class CuttingProxy:
    """Passes bytes on to an endpoint and cuts the connection after `after` of them, up or down; `cuts` times in all.

    Then it passes everything on, unless `cuts` is None: then every later connection is cut at once. A `silent` one
    stays open instead, and nothing comes through.
    """

    def __init__(self, endpoint: str, *, after: int, up: bool, cuts: int | None = None, silent: bool = False) -> None:
        self._silent = silent
        self._target = (str(urlsplit(endpoint).hostname), int(urlsplit(endpoint).port or 80))
        self._up = up
        self._left = after
        self._after = after
        self._cuts = cuts
        self.cut = 0
        """How often it did."""
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            _close(one)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for source, sink, counted in ((near, far, self._up), (far, near, not self._up)):
                threading.Thread(target=self._pass_on, args=(source, sink, counted), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not counted or self._may_pass(len(data)):
                    sink.sendall(data)
                elif not self._silent:
                    break
        _close(source)
        _close(sink)

    def _may_pass(self, count: int) -> bool:
        with self._lock:
            if self._cuts is not None and self.cut >= self._cuts:
                return True
            self._left -= count
            if self._left >= 0:
                return True
            self.cut += 1
            if self._cuts is not None:
                self._left = self._after
            return False


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


class Answering:
    """A store that answers every request with one status and one of S3's error codes."""

    def __init__(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>No. AKTEST StringToSign</Message></Error>".encode()

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
