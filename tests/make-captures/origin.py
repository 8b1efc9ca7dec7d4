"""A slow and misbehaving HTTP/1.1 origin: the path says what it does.

Raw sockets and a thread for each connection, so that every segment, FIN and RST is this file's own decision.
"""

import base64
import collections
import hashlib
import select
import socket
import threading
import time
from urllib.parse import parse_qs, urlsplit

from wire import Stream, reset


class Origin:
    def __init__(self, address="127.0.0.1", port=3000, family=socket.AF_INET, receive_buffer=None, keepalive=None, tls=None,
                 quick_ack=False):
        self.address, self.port, self.tls = address, port, tls
        self.keepalive = keepalive      # seconds of idleness after which the origin closes
        self.quick_ack = quick_ack      # acknowledge each request at once, as a kernel does on a young connection
        self.release = threading.Event()        # ends the behaviours that wait for the case
        self.seen = collections.Counter()       # requests by path, counted when their head is there
        self.done = collections.Counter()       # and when everything that the path stands for was done
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind((address, port))
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            talk = Talk(self, connection)
            while talk.one():
                pass
        except (ConnectionError, EOFError, TimeoutError, OSError):
            pass
        finally:
            connection.close()


class Talk:
    """One connection."""

    def __init__(self, origin, connection):
        self.origin, self.socket = origin, connection
        self.stream = Stream(connection)
        # An answer in two writes must not wait for the first one's ACK, unless a case wants to see that.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def one(self):
        """Serve one request; false when the connection is done with."""
        self.socket.settimeout(self.origin.keepalive)
        if self.origin.quick_ack:       # the kernel forgets it with every answer
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        head = self.stream.head()
        if head is None:
            return False
        self.socket.settimeout(None)
        self.method, self.target, self.headers = head.method, head.target, head.headers
        url = urlsplit(self.target)
        self.query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.origin.seen[self.target] += 1
        behaviour = BEHAVIOURS.get(url.path.strip("/").split("/")[0], Talk.items)
        try:
            return behaviour(self) is not False
        finally:
            self.origin.done[self.target] += 1

    def read_body(self):
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self.stream.chunked()
        return self.stream.exactly(int(self.headers.get("content-length", 0)))

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def answer(self, status="200 OK", body=b"", **headers):
        """A whole answer in one write."""
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
        head = f"HTTP/1.1 {status}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items() if v is not None) + "\r\n"
        self.send(head.encode() + (b"" if self.method == "HEAD" else body))

    def until_client_closes(self):
        """Read on until the client has closed, in whichever way."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass

    def body(self):
        size = int(self.query.get("size", 0))
        return (b'{"items":["tea","rice","salt"]}\n' if not size else (b'{"item":"tea","price":"4.20"}\n' * (size // 30 + 1))[:size])

    # Answers that are whole.

    def items(self):
        self.read_body()
        time.sleep(int(self.query.get("delay", 0)) / 1000)
        self.answer(body=self.body())

    def unavailable(self):
        self.read_body()
        self.answer("503 Service Unavailable", b'{"error":"out of tea"}\n')

    def no_content(self):
        self.read_body()
        self.answer("204 No Content", Content_Length=None, Content_Type=None)

    def not_modified(self):
        # A 304 may carry the Content-Length that a 200 would have had: there is no body all the same.
        self.answer("304 Not Modified", Content_Length="31", ETag='"tea-1"')

    def missing(self):
        self.read_body()
        self.answer("404 Not Found", b'{"error":"no such item"}\n')

    def chunked(self):
        self.read_body()
        self.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b"one\n", b"two\n", b"three\n"):
            self.send(b"%x\r\n%s\r\n" % (len(part), part))
        self.send(b"0\r\n\r\n")

    def trailers(self):
        self.read_body()
        self.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum, X-Took\r\n\r\n")
        self.send(b"6;note=extension\r\nitems\n\r\n")
        time.sleep(0.02)
        self.send(b"0\r\nX-Checksum: 4f2a\r\nX-Took: 20\r\n\r\n")

    def until_close(self):
        self.read_body()
        self.send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nfirst part\n")
        time.sleep(0.03)
        self.send("last part\n")
        return False

    def segments(self):
        self.read_body()
        count, delay = int(self.query.get("n", 5)), int(self.query.get("delay", 60)) / 1000
        self.send(f"HTTP/1.1 200 OK\r\nContent-Length: {count * 8}\r\n\r\n")
        for number in range(count):
            time.sleep(delay)
            self.send(f"part {number:02}\n")

    def slow_headers(self):
        self.read_body()
        for part in ("HTTP/1.1 200", " OK\r\nContent-", "Length: 3\r\nX-Slow: yes\r", "\n\r\nok\n"):
            self.send(part)
            time.sleep(0.05)

    def early_hints(self):
        self.read_body()
        self.send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        time.sleep(0.05)
        self.answer(body=self.body())

    def expect(self):
        self.send("HTTP/1.1 100 Continue\r\n\r\n")
        self.read_body()
        self.answer(body=self.body())

    def expect_failed(self):
        self.answer("417 Expectation Failed", b'{"error":"no"}\n')

    def expect_forever(self):
        self.send("HTTP/1.1 100 Continue\r\n\r\n")
        self.read_body()
        self.until_client_closes()
        return False

    def too_large(self):
        """413 before the request's body is there. `then`: what the origin does next."""
        then = self.query.get("then", "drain")
        self.answer("413 Content Too Large", b'{"error":"too large"}\n', Connection="keep-alive" if then == "drain" else "close")
        if then == "drain":
            self.read_body()
            return True
        if then == "reset":     # with unread bytes in the socket, close() is an RST
            select.select([self.socket], [], [], 20)
            return False
        self.socket.shutdown(socket.SHUT_WR)
        self.until_client_closes()
        return False

    def stalled_upload(self):
        """Leaves the body in the socket's buffer: the window closes, and opens again after `stall` ms (never if 0)."""
        stall = int(self.query.get("stall", 1500)) / 1000
        if not stall:
            while not self.origin.release.wait(30):
                pass
            return False
        time.sleep(stall)
        self.read_body()
        self.answer(body=self.body())

    def slow_reader(self):
        """A large answer, for a client that does not read."""
        self.read_body()
        self.answer(body=self.body())

    def websocket(self):
        key = self.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")
        while True:
            opcode, payload = self.stream.websocket_frame()
            self.send(bytes([0x80 | opcode, len(payload)]) + payload)
            if opcode == 8:
                return False

    # Answers that are not.

    def close_before_answer(self):
        self.read_body()
        time.sleep(int(self.query.get("delay", 0)) / 1000)
        return False

    def reset_before_answer(self):
        self.read_body()
        time.sleep(int(self.query.get("delay", 0)) / 1000)
        reset(self.socket)
        return False

    def close_in_request(self):
        """Closes when the head is there and the body is not; what came of the body is read first, so that it is a FIN."""
        self.stream.exactly(int(self.query["after"]))
        self.socket.shutdown(socket.SHUT_WR)
        self.until_client_closes()
        return False

    def reset_in_request(self):
        self.stream.exactly(int(self.query["after"]))
        reset(self.socket)
        return False

    def half_body(self):
        self.read_body()
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 400)
        time.sleep(0.02)

    def close_in_body(self):
        self.half_body()
        return False

    def reset_in_body(self):
        self.half_body()
        reset(self.socket)
        return False

    def half_chunked(self):
        self.read_body()
        self.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.send(b"4\r\none\n\r\n10\r\nonly ")
        time.sleep(0.02)

    def chunked_cut(self):
        self.half_chunked()
        return False

    def chunked_without_end(self):
        """Whole chunks, but the last one, of size zero, never comes."""
        self.read_body()
        self.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n4\r\ntwo\n\r\n")
        time.sleep(0.02)
        return False

    def chunked_reset(self):
        self.half_chunked()
        reset(self.socket)
        return False

    def until_close_reset(self):
        self.read_body()
        self.send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nfirst part\n")
        time.sleep(0.02)
        reset(self.socket)
        return False

    def close_in_head(self):
        self.read_body()
        self.send("HTTP/1.1 200 OK\r\nContent-Le")
        time.sleep(0.02)
        return False

    def stall_in_body(self):
        """Half an answer, then silence until the client has closed, then the rest, which runs into an RST."""
        self.half_body()
        self.until_client_closes()
        self.send(b"x" * 600)
        return False

    def stall_before_answer(self):
        """Nothing at all until the client has closed. `late=1`: and then the answer."""
        self.read_body()
        self.until_client_closes()
        if self.query.get("late"):
            self.answer(body=self.body())
        return False

    def stall_until_released(self):
        """A slow answer that comes when the case wants it."""
        self.read_body()
        self.origin.release.wait(30)
        self.answer(body=self.body())

    def garbage(self):
        self.read_body()
        self.send(b"\x00\x17not http at all\x00\xff\r\n\r\n")
        time.sleep(0.02)
        return False


BEHAVIOURS = {name.replace("_", "-"): function for name, function in vars(Talk).items() if callable(function) and not name.startswith("_")}
# Short names, for captures whose snap length leaves little of the path.
BEHAVIOURS |= {"stall": Talk.stall_before_answer, "close": Talk.close_before_answer}
