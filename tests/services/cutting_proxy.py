"""A way to the database that cuts the connection at its COMMIT: before the server gets it, or before its answer comes back."""

import socket
import threading
from contextlib import suppress
from enum import StrEnum


class Cut(StrEnum):
    """Where the next COMMIT is cut off."""

    NEVER = "never"
    BEFORE_SERVER = "before_server"
    """The server never gets it and rolls back."""
    BEFORE_CLIENT = "before_client"
    """The server commits, and nobody hears of it."""


class CuttingProxy:
    """Forwards loopback connections to a server, on threads of its own; `cut` applies to the next COMMIT, once."""

    def __init__(self, server_port: int) -> None:
        self.cut = Cut.NEVER
        self.cuts = 0
        self._server_port = server_port
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no new connections and cut those there are."""
        _shut(self._listener, *self._ends)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._ends += (client, server)
            muted = threading.Event()
            threading.Thread(target=self._to_server, args=(client, server, muted), daemon=True).start()
            threading.Thread(target=self._to_client, args=(server, client, muted), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                if self.cut is not Cut.NEVER and b"commit" in data.lower():
                    where, self.cut = self.cut, Cut.NEVER
                    self.cuts += 1
                    if where is Cut.BEFORE_SERVER:
                        break
                    muted.set()
                server.sendall(data)
        _shut(server, client)

    def _to_client(self, server: socket.socket, client: socket.socket, muted: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                if muted.is_set() and b"COMMIT\x00" in data:
                    break
                client.sendall(data)
        _shut(server, client)


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):  # another thread was first
            end.shutdown(socket.SHUT_RDWR)
        end.close()
