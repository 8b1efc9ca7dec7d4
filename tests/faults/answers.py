"""What the origin answers beyond the behaviours of tests/make-captures: raw bytes, and what takes
several requests to see."""

import collections
import socket
import threading
import time

import origin
from wire import reset

OK = "HTTP/1.1 200 OK\r\n"
LENGTH = "Content-Length: 3\r\n"
UPGRADE = "Upgrade: x\r\nConnection: upgrade\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
BODY = "3\r\nok\n\r\n0\r\n\r\n"

# By name: framing and heads that are wrong, or look so. The proxy says what is made of them.
RAW = {
    "transfer-encoding-twice": f"{OK}{CHUNKED}{CHUNKED}\r\n{BODY}",
    "transfer-encoding-and-length": f"{OK}{CHUNKED}Content-Length: 3\r\n\r\n{BODY}",
    "transfer-encoding-gzip": f"{OK}Transfer-Encoding: gzip\r\n\r\nok\n",
    "transfer-encoding-gzip-chunked": f"{OK}Transfer-Encoding: gzip, chunked\r\n\r\n{BODY}",
    "transfer-encoding-chunked-gzip": f"{OK}Transfer-Encoding: chunked, gzip\r\n\r\n{BODY}",
    "transfer-encoding-on-204": f"HTTP/1.1 204 No Content\r\n{CHUNKED}\r\n",
    "transfer-encoding-on-1xx": f"HTTP/1.1 103 Early Hints\r\n{CHUNKED}\r\n{OK}{LENGTH}\r\nok\n",
    "two-lengths-differ": f"{OK}Content-Length: 3\r\nContent-Length: 5\r\n\r\nok\n",
    "two-lengths-alike": f"{OK}Content-Length: 3\r\nContent-Length: 3\r\n\r\nok\n",
    "lengths-in-a-list": f"{OK}Content-Length: 3, 3\r\n\r\nok\n",
    "length-negative": f"{OK}Content-Length: -1\r\n\r\nok\n",
    "length-with-plus": f"{OK}Content-Length: +3\r\n\r\nok\n",
    "length-empty": f"{OK}Content-Length: \r\n\r\nok\n",
    "length-hexadecimal": f"{OK}Content-Length: 0x3\r\n\r\nok\n",
    "length-overflows": f"{OK}Content-Length: 99999999999999999999\r\n\r\nok\n",
    "length-on-204": "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
    "field-without-colon": f"{OK}Content-Length: 3\r\nno colon here\r\n\r\nok\n",
    "field-with-nul": f"{OK}Content-Length: 3\r\nX-Bad: a\0b\r\n\r\nok\n",
    "field-with-bare-cr": f"{OK}Content-Length: 3\r\nX-Bad: a\rb\r\n\r\nok\n",
    "field-name-with-blank": f"{OK}Content-Length: 3\r\nX Bad: a\r\n\r\nok\n",
    "blank-before-colon": f"{OK}Content-Length : 3\r\n\r\nok\n",
    "folded-field": f"{OK}Content-Length: 3\r\nX-Folded: a\r\n b\r\n\r\nok\n",
    "bare-lf": "HTTP/1.1 200 OK\nContent-Length: 3\n\nok\n",
    "chunk-size-no-number": f"{OK}{CHUNKED}\r\nzz\r\nok\n\r\n0\r\n\r\n",
    "chunk-longer-than-said": f"{OK}{CHUNKED}\r\n3\r\nok\nmore\r\n0\r\n\r\n",
    "chunk-size-overflows": f"{OK}{CHUNKED}\r\n{'f' * 20}\r\nok\n",
    "status-no-number": "HTTP/1.1 abc OK\r\nContent-Length: 3\r\n\r\nok\n",
    "status-of-two-digits": "HTTP/1.1 20 OK\r\nContent-Length: 3\r\n\r\nok\n",
    "status-without-reason": "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nok\n",
    "version-unknown": "HTTP/9.9 200 OK\r\nContent-Length: 3\r\n\r\nok\n",
    "no-http": "SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
    "tls-alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "switching-unasked": f"HTTP/1.1 101 Switching Protocols\r\n{UPGRADE}\r\n",
    "answer-longer-than-said": f"{OK}Content-Length: 3\r\n\r\nok\nand more than that",
    "head-too-large": f"{OK}Content-Length: 3\r\nX-Large: {'x' * 90000}\r\n\r\nok\n",
    "gateway-timeout-of-its-own": "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 24\r\n\r\n"
    "upstream request timeout",
    "not-found-without-body": "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
}


class PlainOrigin:
    """Answers whatever comes first with a 400 in plain HTTP, as servers do to TLS."""

    def __init__(self, port):
        self.seen = collections.Counter()
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            connection.recv(65536)
            connection.sendall(
                b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
            connection.close()


class EndingOrigin:
    """A process that ends while `count` requests wait: port and connections go at once."""

    def __init__(self, port, count):
        self.seen, self.count, self.connections = collections.Counter(), count, []
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        for _ in range(self.count):
            connection, _ = self.listener.accept()
            self.connections.append(connection)
        for connection in self.connections:
            target = connection.recv(65536).split(b" ")[1].decode()
            self.seen[target] += 1
        self.listener.close()
        for connection in self.connections:
            connection.close()


def behaviour(function):
    origin.BEHAVIOURS[function.__name__.replace("_", "-")] = function
    return function


@behaviour
def raw(talk):
    """`answer` of the table, then the connection is left open until the other side closes, unless
    `then=close`."""
    talk.read_body()
    data = RAW[talk.query["answer"]]
    talk.send(data if isinstance(data, bytes) else data.encode("latin-1"))
    if talk.query.get("then") == "close":
        time.sleep(0.02)
    else:
        talk.until_client_closes()
    return False


@behaviour
def reset_in_head(talk):
    talk.read_body()
    talk.send("HTTP/1.1 200 OK\r\nContent-Le")
    time.sleep(0.02)
    reset(talk.socket)
    return False


@behaviour
def first_reset(talk):
    """Resets the first time that the path is asked for, and answers from then on."""
    talk.read_body()
    if talk.origin.seen[talk.target] == 1:
        reset(talk.socket)
        return False
    talk.answer(body=b"ok\n")
    return True


@behaviour
def stall_in_chunks(talk):
    talk.read_body()
    talk.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
    talk.until_client_closes()
    return False


@behaviour
def stall_until_close(talk):
    """An answer without a length, of which a part comes."""
    talk.read_body()
    talk.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nfirst part\n")
    talk.until_client_closes()
    return False


@behaviour
def close_when_released(talk):
    """Answers, and closes its idle connection when the bench says so."""
    talk.read_body()
    talk.answer(body=b"ok\n")
    talk.origin.release.wait(20)
    return False


@behaviour
def reset_when_released(talk):
    """Answers, and forgets its idle connection when the bench says so."""
    talk.read_body()
    talk.answer(body=b"ok\n")
    talk.origin.release.wait(20)
    reset(talk.socket)
    return False


@behaviour
def early_close(talk):
    """Answers 413 before the body is there and closes without having read it: an RST."""
    talk.answer("413 Content Too Large", b"too large\n", Connection="close")
    talk.stream.more()
    return False


@behaviour
def early_answer(talk):
    """Answers before the body is there, and reads it all the same."""
    talk.answer("403 Forbidden", b"no\n")
    talk.read_body()
    return True


@behaviour
def websocket_silent(talk):
    """Upgrades, and says nothing more."""
    talk.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )
    talk.until_client_closes()
    return False


@behaviour
def answer_half_closed(talk):
    """A whole answer with the FIN right behind it, and nothing of `Connection: close`."""
    talk.read_body()
    talk.answer(body=b"ok\n")
    talk.socket.shutdown(socket.SHUT_WR)
    talk.until_client_closes()
    return False


@behaviour
def close_next(talk):
    """Answers, and closes as soon as the next request lies in its socket, without reading it: the
    close and the request have crossed."""
    talk.read_body()
    talk.answer(body=b"ok\n")
    if talk.socket.recv(1, socket.MSG_PEEK):
        reset(talk.socket)
    return False
