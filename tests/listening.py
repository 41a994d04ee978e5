"""A webhook and a mail server of this machine for tests, as a process of its own: what they were sent is a line each.

`/ok` takes what is posted; `/500`, `/redirect`, `/hang`, `/cut` and `/drip` fail as they are called; `/fail-first`
takes nothing as long as there is a file `refuse` in the folder.
"""

from __future__ import annotations

import datetime
import json
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

USER, PASSWORD = "desk", "marker-password-of-mail"


@dataclass(frozen=True)
class Listening:
    """The process: where it listens, and what has come."""

    folder: Path
    ports: dict[str, int]
    """http, https, smtp, smtps, starttls."""

    def hook(self, path: str = "/ok", scheme: str = "http") -> str:
        return f"{scheme}://localhost:{self.ports[scheme]}{path}"

    def posted(self) -> list[Any]:
        """Every request, as it came: path, headers, body."""
        return self._lines("posted")

    def mailed(self) -> list[Any]:
        """Every message, as it came: sender, recipients, the text."""
        return self._lines("mailed")

    def bodies(self) -> list[Any]:
        return [json.loads(one["body"]) for one in self.posted()]

    def refuse(self, *, yes: bool) -> None:
        """Whether /fail-first fails."""
        (self.folder / "refuse").unlink(missing_ok=True)
        if yes:
            (self.folder / "refuse").touch()

    def forget(self) -> None:
        for name in ("posted", "mailed"):
            (self.folder / name).unlink(missing_ok=True)

    def _lines(self, name: str) -> list[Any]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def listening(folder: Path) -> Iterator[Listening]:
    """The servers, ended afterwards; their certificate is `folder / "trust.pem"`."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.listening", str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Listening(folder, json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


# The process ----------------------------------------------------------------------------------------------------


def main(folder: Path) -> None:
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    context = make_certificate(folder)

    class Keeper:
        async def handle_DATA(self, _: Any, session: Any, envelope: Any) -> str:  # noqa: N802 aiosmtpd's name
            made = message_from_bytes(envelope.content, policy=default)
            headers = [[name, str(value)] for name, value in made.items()]
            text = made.get_content()  # type: ignore[attr-defined]
            said = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "headers": headers, "text": text}
            write(folder / "mailed", {**said, "raw": envelope.content.decode(), "user": session.auth_data})
            return "250 taken"

    def sign_in(_server: Any, _session: Any, _envelope: Any, _way: Any, given: Any) -> AuthResult:
        good = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, auth_data=USER, handled=False)

    quiet = {"hostname": "127.0.0.1", "port": 0, "ready_timeout": 30}
    asks = {"authenticator": sign_in, "auth_required": True}
    mails = {
        "smtp": Controller(Keeper(), **quiet),
        "smtps": Controller(Keeper(), **quiet, **asks, auth_require_tls=False, ssl_context=context),
        "starttls": Controller(Keeper(), **quiet, **asks, tls_context=context, require_starttls=True),
    }
    ports = {}
    for name, one in mails.items():
        one.port = free_port()
        one.start()
        ports[name] = one.port
    for name in ("http", "https"):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler(folder))
        if name == "https":
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ports[name] = server.server_address[1]
    print(json.dumps(ports), flush=True)
    threading.Event().wait()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write(path: Path, said: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(said) + "\n")


def handler(folder: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            path = self.path.partition("?")[0]
            status = {"/500": 500, "/redirect": 307}.get(path, 200)
            if path == "/fail-first" and (folder / "refuse").exists():
                status = 503
            write(folder / "posted", {"path": self.path, "headers": dict(self.headers), "body": body, "status": status})
            if path == "/hang":
                time.sleep(600)
            if path in ("/cut", "/drip"):
                self.close_connection = True
            if path == "/cut":
                return
            self.send_response(status)
            if status == 307:
                self.send_header("Location", "/stolen")
            if path == "/drip":
                self.flush_headers()
                with suppress(OSError):
                    while True:
                        self.wfile.write(b"X")
                        time.sleep(0.1)
                return
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: standard error is the test's."""

    return Handler


def make_certificate(folder: Path) -> ssl.SSLContext:
    """A certificate for localhost that vouches for itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "trust.pem").write_bytes(pem)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "own.pem").write_bytes(pem + secret)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "own.pem")
    return context


if __name__ == "__main__":
    main(Path(sys.argv[1]))
