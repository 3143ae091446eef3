"""The load generator: thousands of WebSocket clients as raw sockets in one process.

It speaks just enough of RFC 6455 to be a client, and looks at what it receives only to count
publications, so that its own CPU stays far below the server's. Commands come as JSON lines on
standard input, answers go as JSON lines to standard output.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

MARK = b'"pub":{'
TIME_MARK = b'"t":'
CHUNK = 262_144
DEADLINE = 120.0


class Client:
    """One connection."""

    __slots__ = ("acks", "head", "index", "publications", "sock", "tail")

    def __init__(self, sock: socket.socket, index: int) -> None:
        self.sock, self.index = sock, index
        self.publications = self.acks = 0
        self.head = True
        self.tail = b""


def text_frame(payload: bytes) -> bytes:
    """Return a masked text frame; the masking key is zero, so the payload stands as it is."""
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + struct.pack("!H", size)
    return head + b"\0\0\0\0" + payload


class Generator:
    """All clients and one epoll."""

    def __init__(self) -> None:
        self.clients: dict[int, Client] = {}
        self.epoll = select.epoll()
        self.latencies: list[float] | None = None
        self.publications = self.received_bytes = 0
        self.mark = MARK

    def open(self, url: str, count: int, *, upgrade: bool = True, at_once: int = 200) -> None:
        """Open connections, and upgrade them to WebSocket unless the server is the bare one."""
        parts = urlsplit(url)
        address = (parts.hostname or "127.0.0.1", parts.port or 80)
        request = (
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ).encode()
        while count > 0:
            opened = [self._connect(address) for _ in range(min(at_once, count))]
            count -= len(opened)
            if upgrade:
                for client in opened:
                    client.sock.send(request)
                self.pump(partial(_upgraded, opened))
            else:
                for client in opened:
                    client.head = False

    def stream(self, url: str, count: int, commands: str, *, replies: int, at_once: int = 200) -> None:
        """Open streams over HTTP, each with these commands, and wait for so many replies from each."""
        parts = urlsplit(url)
        address = (parts.hostname or "127.0.0.1", parts.port or 80)
        request = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(commands)}\r\n\r\n{commands}"
        ).encode()
        while count > 0:
            opened = [self._connect(address) for _ in range(min(at_once, count))]
            count -= len(opened)
            for client in opened:
                client.head, client.acks = False, -replies
                client.sock.send(request)
            self.pump(partial(_answered, opened))

    def _connect(self, address: tuple[str, int]) -> Client:
        sock = socket.create_connection(address, timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        client = Client(sock, len(self.clients))
        self.clients[sock.fileno()] = client
        self.epoll.register(sock.fileno(), select.EPOLLIN)
        return client

    def command(self, template: str, *, replies: int, window: int = 200, skip: int = 0) -> None:
        """Send a frame of commands to every client and wait for so many replies from each.

        ``{i}`` in the template is the client's index. At most ``window`` clients wait at a time; the
        ``skip`` clients that were opened first are left out.
        """
        waiting: list[Client] = []
        for client in list(self.clients.values())[skip:]:
            client.acks = -replies
            client.sock.send(text_frame(template.replace("{i}", str(client.index)).encode()))
            waiting.append(client)
            if len(waiting) >= window:
                self.pump(partial(_answered, waiting))
                waiting = []
        self.pump(partial(_answered, waiting))

    def expect(self, publications: int) -> None:
        """Wait until so many publications in all have arrived since the last ``reset``."""
        self.pump(lambda: self.publications >= publications)

    def reset(self, *, latencies: bool = False, mark: str = MARK.decode()) -> None:
        """Count from zero what ``mark`` stands in: publications pushed, or whatever a payload begins with."""
        self.mark = mark.encode()
        self.publications = 0
        self.latencies = [] if latencies else None

    def close(self) -> None:
        """Cut all connections, without a word."""
        for client in self.clients.values():
            self.epoll.unregister(client.sock.fileno())
            client.sock.close()
        self.clients.clear()

    def ask(self, command: str, reply: int) -> str:
        """Send a frame of commands from the first client and return one of the replies, by its id."""
        client = next(iter(self.clients.values()))
        client.sock.send(text_frame(command.encode()))
        client.sock.setblocking(True)
        seen, begin = b"", b'{"id":%d,' % reply
        while b"}" not in seen.partition(begin)[2]:
            seen += client.sock.recv(CHUNK)
        client.sock.setblocking(False)
        lines = (begin + seen.partition(begin)[2]).decode("latin-1").splitlines()
        return lines[0]

    def pump(self, done: Callable[[], bool], *, deadline: float = DEADLINE) -> None:
        """Read until ``done()``."""
        end = time.monotonic() + deadline
        while not done():
            for number, _ in self.epoll.poll(0.5, 4096):
                self._read(self.clients[number])
            if time.monotonic() > end:
                raise TimeoutError(f"got {self.publications} publications")

    def _read(self, client: Client) -> None:
        try:
            data = client.sock.recv(CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionError(f"client {client.index} was closed: {client.tail!r}")
        self.received_bytes += len(data)
        if client.head:
            client.tail += data
            if b"\r\n\r\n" in client.tail:
                client.head, client.tail = False, b""
            return
        data = client.tail + data
        found = data.count(self.mark)
        self.publications += found
        client.publications += found
        if client.acks < 0:
            client.acks += data.count(b'{"id":')
        client.tail = data[-(len(self.mark) - 1) :]
        if self.latencies is not None and found:
            self._time(data)

    def _time(self, data: bytes) -> None:
        now = time.time_ns()
        at = data.find(TIME_MARK)
        while at >= 0 and self.latencies is not None:
            end = at + len(TIME_MARK)
            self.latencies.append((now - int(data[end : end + 19])) / 1e9)
            at = data.find(TIME_MARK, end)


def _upgraded(clients: list[Client]) -> bool:
    return not any(client.head for client in clients)


def _answered(clients: list[Client]) -> bool:
    return all(client.acks >= 0 for client in clients)


def quantile(values: list[float], q: float) -> float:
    """Return a quantile by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")


def handle(generator: Generator, order: dict[str, Any]) -> dict[str, Any]:
    """Carry out one command."""
    began, cpu = time.perf_counter(), time.process_time()
    answer: dict[str, Any] = {}
    match order.pop("do"):
        case "open":
            generator.open(**order)
        case "stream":
            generator.stream(**order)
        case "command":
            generator.command(**order)
        case "reset":
            generator.reset(**order)
        case "close":
            generator.close()
        case "ask":
            answer = {"reply": generator.ask(**order)}
        case "expect":
            generator.expect(**order)
        case "latencies":
            values = generator.latencies or []
            answer = {"count": len(values), "p50": quantile(values, 0.5), "p99": quantile(values, 0.99)}
        case unknown:
            raise ValueError(f"unknown command {unknown}")
    return {**answer, "seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def main() -> None:
    """Serve commands until standard input ends."""
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
    generator = Generator()
    for line in sys.stdin:
        print(json.dumps(handle(generator, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
