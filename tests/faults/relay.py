"""A TCP relay that delays, goes silent, or cuts: the network between two ends."""

import select
import socket
import threading
import time

from wire import reset

# What befalls the bytes of one direction once `after` of them have passed.
ACTIONS = ("fin", "rst", "silence", "delay")


class Relay:
    """Passes bytes on, both ways, until the plan says otherwise.

    `way` is "up" for what the client of the relay sends, or "down" for what it gets. "fin" and
    "rst" close both sides; "silence" swallows what follows; "delay" holds each piece back for
    `seconds`.
    """

    def __init__(
        self, port, target, way="down", after=0, action="delay", seconds=0.0, address="127.0.0.1"
    ):
        if action not in ACTIONS:
            raise ValueError(f"no action: {action}")
        self.target, self.address = target, address
        self.way, self.after, self.action, self.seconds = way, after, action, seconds
        self.listener = socket.create_server((address, port), reuse_port=False, backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        try:
            far = socket.create_connection((self.address, self.target))
        except OSError:
            reset(near)
            return
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # One thread for both ways: a socket that another thread reads from cannot be reset.
        ways = {near: (far, "up"), far: (near, "down")}
        self.passed = {"up": 0, "down": 0}
        try:
            while ways:
                for source in select.select(list(ways), [], [])[0]:
                    sink, way = ways[source]
                    data = source.recv(65536)
                    if not data:
                        del ways[source]
                        sink.shutdown(socket.SHUT_WR)
                    elif self.pass_on(sink, way, data):
                        for one in (near, far):
                            if self.action == "rst":
                                reset(one)
                        return
        except OSError:
            # One side was reset, and so is the other.
            for one in (near, far):
                reset(one)
        finally:
            near.close()
            far.close()

    def pass_on(self, sink, way, data):
        """Whether the connection is to be cut now."""
        passed = self.passed[way]
        self.passed[way] += len(data)
        if way != self.way or self.passed[way] <= self.after:
            sink.sendall(data)
            return False
        if self.action == "delay":
            time.sleep(self.seconds)
            sink.sendall(data)
            return False
        sink.sendall(data[: max(self.after - passed, 0)])
        return self.action != "silence"
