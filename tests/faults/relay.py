"""A TCP relay that delays, goes silent, or cuts: the network between two ends, at a byte's choice."""

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

    def __init__(self, port, target, way="down", after=0, action="delay", seconds=0.0,
                 address="127.0.0.1"):
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
        up = threading.Thread(target=self.pass_on, args=(near, far, "up"), daemon=True)
        up.start()
        self.pass_on(far, near, "down")
        up.join()
        near.close()
        far.close()

    def pass_on(self, source, sink, way):
        passed = 0
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                if way == self.way and passed + len(data) > self.after:
                    if self.action == "delay":
                        time.sleep(self.seconds)
                    else:
                        sink.sendall(data[:max(self.after - passed, 0)])
                        self.end(source, sink)
                        return
                passed += len(data)
                sink.sendall(data)
        except OSError:
            for one in (source, sink):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def end(self, source, sink):
        if self.action == "silence":
            while source.recv(65536):
                pass
            sink.shutdown(socket.SHUT_WR)
            return
        for one in (source, sink):
            if self.action == "rst":
                reset(one)
            else:
                one.shutdown(socket.SHUT_RDWR)
