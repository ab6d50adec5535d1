"""A relay between a client and the host that counts the HTTP/2 frames (RFC 9113, 4.1)."""

import collections
import socket
import threading

PING, GOAWAY = 6, 7
PREFACE = 24


class Relay:
    """Forwards one connection after the other to `address`; a context manager."""

    def __init__(self, address):
        self._address = address
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        #: Frames by type, from the client and from the host.
        self.frames, self.answers = collections.Counter(), collections.Counter()
        self._passed = threading.Condition()
        self._sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in (self._listener, *self._sockets):
            end.close()

    def wait_for(self, kind, count, timeout=60):
        """Wait until the client has sent this many frames of this type."""
        with self._passed:
            assert self._passed.wait_for(lambda: self.frames[kind] >= count, timeout), self.frames

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            host = self._connect()
            self._sockets += [client, host]
            for source, target, counter, skip in [
                (client, host, self.frames, PREFACE),
                (host, client, self.answers, 0),
            ]:
                arguments = (source, target, counter, skip)
                threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _connect(self):
        if self._address.startswith("unix:"):
            host = socket.socket(socket.AF_UNIX)
            host.connect(self._address.removeprefix("unix:"))
            return host
        name, _, port = self._address.rpartition(":")
        return socket.create_connection((name, int(port)))

    def _pump(self, source, target, counter, skip):
        rest = b""
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
                rest, skip = rest + data[skip:], max(0, skip - len(data))
                while len(rest) >= 9 and len(rest) >= (size := 9 + int.from_bytes(rest[:3], "big")):
                    with self._passed:
                        counter[rest[3]] += 1
                        self._passed.notify_all()
                    rest = rest[size:]
        except OSError:
            pass  # either end is gone
