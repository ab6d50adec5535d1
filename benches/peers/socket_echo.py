"""The lower bound: one end of a Unix socket in pure Python.

Sends back every message of SIZE bytes; a message that begins with a zero byte holds a count
and is answered with that many messages, one send each.
"""

import socket
import sys


def main(path: str, size: int) -> None:
    """Serve one connection until its other end closes."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(path)
        print('{"ready": true}', flush=True)
        chunk = b"\x01" * size
        while message := link.recv(size):
            while len(message) < size:
                more = link.recv(size - len(message))
                if not more:
                    return
                message += more
            if message[0]:
                link.sendall(message)
            else:
                for _ in range(int.from_bytes(message[1:9], "little")):
                    link.sendall(chunk)


main(sys.argv[1], int(sys.argv[2]))
