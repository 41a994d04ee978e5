"""A way to the database that can be cut and mended, for tests of a server that goes away."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from sqlalchemy import URL


class Proxy:
    """Passes bytes between a port on loopback and a database server, until it is cut."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._accept()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(50)
        return listener

    def _accept(self) -> None:
        listener = self._listener

        def loop() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                upstream = self._connect()
                self._open += [client, upstream]
                for source, target in ((client, upstream), (upstream, client)):
                    threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

        threading.Thread(target=loop, daemon=True, name="proxy").start()

    def _connect(self) -> socket.socket:
        place = str(self._server.query.get("host") or self._server.host)
        port = self._server.port or int(str(self._server.query.get("port", 5432)))
        if not place.startswith("/"):
            return socket.create_connection((place, port))
        made = socket.socket(socket.AF_UNIX)
        made.connect(f"{place}/.s.PGSQL.{port}")
        return made

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Closes every connection and takes no new one."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def mend(self) -> None:
        """Listens again on the same port."""
        self._listener = self._listen(self.port)
        self._accept()
