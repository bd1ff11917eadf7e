"""A network that breaks off: a proxy on loopback that lets only so much of an answer through."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

PIECE = 1 << 16


@dataclass
class Breaking:
    """What the proxy is to do, and what was asked through it."""

    host: str
    port: int
    after: int
    """Bytes of an answer to a GET after which it is broken off."""
    times: int
    """How many answers are broken off."""
    between: Callable[[], None] = lambda: None
    """What happens when an answer is broken off."""
    asked: list[str] = field(default_factory=list)
    """The heads of the requests, in lower case."""
    sent: int = 0
    """Bytes that came through."""
    address: str = ""

    def ranges(self) -> list[str | None]:
        """The ranges that were asked for by GET, in order; None for a whole file."""
        heads = [head.splitlines() for head in self.asked if head.startswith("get ")]
        return [next((line.partition(": ")[2] for line in head if line.startswith("range: ")), None) for head in heads]

    def serve(self, client: socket.socket) -> None:
        with client, socket.create_connection((self.host, self.port)) as server, suppress(ConnectionError):
            request = client.recv(PIECE)
            self.asked.append(request.decode("latin-1").lower())
            server.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            breaks = request.startswith(b"GET") and self.times > 0
            self.times -= breaks
            room = self.after if breaks else 1 << 60
            while room > 0 and (data := server.recv(min(PIECE, room))):
                client.sendall(data)
                room -= len(data)
                self.sent += len(data)
            if breaks:
                self.between()


@contextmanager
def breaking(host: str, port: int, after: int, times: int) -> Iterator[Breaking]:
    """A proxy before a server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = Breaking(host, port, after, times, address=f"http://127.0.0.1:{listening.getsockname()[1]}")

        def accept() -> None:
            with suppress(OSError):
                while True:
                    proxy.serve(listening.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        yield proxy
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
