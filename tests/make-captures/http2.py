"""A client's side of HTTP/2 in the clear, just enough to open several streams at once and to cancel one (RFC 9113).

Header blocks are literals without indexing or Huffman coding (RFC 7541 §6.2.2); those of the answers are not read: the proxy's
access log says what they held.
"""

import socket

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = 8


class Http2:
    def __init__(self, address, port):
        self.socket = socket.create_connection((address, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(20)
        self.authority, self.buffer, self.last = f"{address}:{port}", b"", -1
        self.ended = {}     # stream → "whole" or the error code of its RST_STREAM
        self.started = set()    # streams with answer bytes
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(SETTINGS, 0, 0))

    @staticmethod
    def frame(kind, flags, stream, payload=b""):
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    def request(self, method, path, body=b""):
        self.last += 2
        fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", self.authority), ("user-agent", "make-captures/1")]
        block = b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in fields)
        out = self.frame(HEADERS, END_HEADERS | (0 if body else END_STREAM), self.last, block)
        if body:
            out += self.frame(DATA, END_STREAM, self.last, body)
        self.socket.sendall(out)
        return self.last

    def exactly(self, size):
        while len(self.buffer) < size:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read(self):
        head = self.exactly(9)
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
        payload = self.exactly(int.from_bytes(head[:3], "big"))
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.socket.sendall(self.frame(kind, ACK, 0, b"" if kind == SETTINGS else payload))
        elif kind == RST_STREAM:
            self.ended[stream] = int.from_bytes(payload, "big")
        elif kind in (HEADERS, DATA):
            self.started.add(stream)
            if flags & END_STREAM:
                self.ended.setdefault(stream, "whole")

    def wait(self, *streams):
        while not all(stream in self.ended for stream in streams):
            self.read()
        return [self.ended[stream] for stream in streams]

    def cancel(self, stream):
        self.socket.sendall(self.frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big")))

    def close(self):
        self.socket.sendall(self.frame(GOAWAY, 0, 0, bytes(8)))
        self.socket.close()
