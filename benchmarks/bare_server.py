"""The baseline of fan-out: a loop of ``socket.send`` over so many sockets, and nothing else.

Usage: ``bare_server.py CORES``. Prints its port, then serves lines on standard input: ``accept N``
takes N connections, ``send SIZE ROUNDS`` sends that many bytes to each, one round after another is
asked for by the caller, and prints the CPU seconds the round took.
"""

from __future__ import annotations

import os
import socket
import sys
import time


def main() -> None:
    """Serve until standard input ends."""
    os.sched_setaffinity(0, {int(core) for core in sys.argv[1].split(",")})
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    sockets: list[socket.socket] = []
    for line in sys.stdin:
        order, *numbers = line.split()
        if order == "accept":
            for _ in range(int(numbers[0])):
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setblocking(False)
                sockets.append(sock)
            print("ok", flush=True)
        else:
            payload = bytes.fromhex(numbers[0])
            began = time.process_time()
            for sock in sockets:
                sock.send(payload)
            print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    main()
