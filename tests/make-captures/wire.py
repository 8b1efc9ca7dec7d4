"""HTTP/1.1 on a raw socket, for both ends: what the cases need of it and no more."""

import collections
import socket
import struct
import time

# Where `struct tcp_info` of Linux has `tcpi_notsent_bytes` (include/uapi/linux/tcp.h).
TCPI_NOTSENT_BYTES = 144

Head = collections.namedtuple("Head", "method target status headers")


def reset(connection):
    """RST: SO_LINGER with zero seconds makes close() throw everything away."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Stream:
    def __init__(self, connection):
        self.socket, self.buffer = connection, b""

    def more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def head(self):
        """The next request's or response's head; None if the connection ends before it begins."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                return None
        text, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = text.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        words = first.split(" ", 2)
        if first.startswith("HTTP/"):
            return Head(None, None, int(words[1]), headers)
        return Head(words[0], words[1], None, headers)

    def exactly(self, size):
        while len(self.buffer) < size:
            if not self.more():
                raise EOFError
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.more():
                raise EOFError
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def chunked(self):
        body = b""
        while True:
            size = int(self.line().split(b";")[0], 16)
            if size == 0:
                while self.line():
                    pass
                return body
            body += self.exactly(size)
            self.line()

    def to_end(self):
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def websocket_frame(self):
        """(opcode, payload) of one short frame, unmasked."""
        first, second = self.exactly(2)
        mask = self.exactly(4) if second & 0x80 else b"\0\0\0\0"
        data = self.exactly(second & 0x7F)
        return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


class Client:
    """A client whose every write is one segment: Nagle's algorithm is off unless asked for."""

    def __init__(self, address="127.0.0.1", port=3000, nagle=False, receive_buffer=None, tls=None):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0 if nagle else 1)
        self.socket.settimeout(20)
        self.authority = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self.socket.connect((address, port))
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.stream = Stream(self.socket)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def head(self, method, path, version="1.1", **headers):
        fields = {"Host": self.authority, "User-Agent": "make-captures/1", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return (f"{method} {path} HTTP/{version}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n").encode()

    def request(self, method, path, body=b"", **headers):
        if body:
            headers.setdefault("Content_Length", str(len(body)))
        self.send(self.head(method, path, **headers) + body)

    def response(self, method="GET"):
        """The status of the next final answer, its body read and dropped; interim answers are passed over."""
        while True:
            head = self.stream.head()
            if head is None:
                raise EOFError("the server closed before its answer")
            if head.status >= 200 or head.status == 101:
                break
        self.headers = head.headers
        if method == "HEAD" or head.status in (101, 204, 304) or (method == "CONNECT" and head.status == 200):
            return head.status
        if head.headers.get("transfer-encoding") == "chunked":
            self.stream.chunked()
        elif "content-length" in head.headers:
            self.stream.exactly(int(head.headers["content-length"]))
        else:
            self.stream.to_end()
        return head.status

    def exchange(self, method, path, expected, body=b"", **headers):
        self.request(method, path, body, **headers)
        status = self.response(method)
        if status != expected:
            raise AssertionError(f"{method} {path}: {status}, not {expected}")

    def held_back(self):
        """For how many seconds the kernel still keeps written bytes to itself, as it says (`tcpi_notsent_bytes`)."""
        begin = time.monotonic()
        while True:
            info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
            if struct.unpack_from("=I", info, TCPI_NOTSENT_BYTES) == (0,):
                return time.monotonic() - begin
            time.sleep(0.0005)

    def close_seen(self):
        """Until the server has closed or reset: "fin" or "rst"."""
        try:
            self.stream.to_end()
            return "fin"
        except ConnectionResetError:
            return "rst"

    def close(self):
        """FIN (RST if there are unread bytes, as ever)."""
        self.socket.close()

    def reset(self):
        reset(self.socket)

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
