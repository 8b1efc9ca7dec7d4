"""Clients: each makes a function of a Visit, or is one, and does what a caller may do."""

import fcntl
import os
import signal
import socket
import ssl
import struct
import subprocess
import time

from bench import block
from lab import sockets, wait
from wire import Client

# How long a client waits is its behaviour, and no wait for anything: seconds until it hangs up,
# and for which it asks nothing, long enough to be told of.
PATIENCE, IDLE = 0.15, 1.2
# States of a socket, as in include/net/tcp_states.h, and a request of <linux/sockios.h>.
ESTABLISHED, FIN_WAIT1, FIN_WAIT2 = 1, 4, 5
SIOCOUTQ = 0x5411


class Visit:
    """What a client's function is handed: one situation, on the client's side."""

    def __init__(self, row, origin, proxy):
        self.row, self.origin, self.proxy = row, origin, proxy

    def connect(self):
        return Client(port=self.row.port)

    def head(self, client, method="GET", **headers):
        headers.setdefault("X_Request_Id", self.row.id)
        return client.head(method, self.row.target, **headers)

    def ask(self, client, method="GET", body=b"", **headers):
        if body:
            headers.setdefault("Content_Length", str(len(body)))
        client.send(self.head(client, method, **headers) + body)

    def vanish(self):
        """From now on nothing reaches the origin: as if it, or the path to it, were gone."""
        block(self.row.origin_port)

    def wait_seen(self, count=1):
        """Until the origin has the request's head."""
        wait(f"the origin to see {self.row.id}", lambda: self.origin.seen[self.row.target] >= count)


def plain(method="GET", body=b"", **headers):
    """Asks, reads what comes until the answer or the connection is at its end, and closes."""

    def visit(this):
        client = this.connect()
        this.ask(client, method, body, **headers)
        read_answer(client, method)
        client.close()

    return visit


def read_answer(client, method="GET"):
    """The status, or None where the answer did not come whole."""
    try:
        return client.response(method)
    except (EOFError, ConnectionError, ValueError, IndexError, TimeoutError):
        return None


def sends(*parts, pause=0.0):
    """Raw bytes, then reads until the proxy closes."""

    def visit(this):
        client = this.connect()
        for number, part in enumerate(parts):
            if number:
                time.sleep(pause)
            text = (
                part.format(id=this.row.id, target=this.row.target, port=this.row.port)
                if isinstance(part, str)
                else part
            )
            client.send(text)
        try:
            client.socket.settimeout(5)
            client.stream.to_end()
        except (ConnectionError, TimeoutError):
            pass
        client.close()

    return visit


def leaves(how, after="request", method="GET", size=3000):
    """Hangs up, by "fin", "rst" or "half": after its request, inside it, or inside the answer."""

    def visit(this):
        client = this.connect()
        if after == "part of the request":
            client.send(this.head(client, "POST", Content_Length=str(size)) + b"x" * (size // 3))
            this.wait_seen()
        elif after == "part of the head":
            client.send(this.head(client, method)[:-12])
        else:
            this.ask(client, method)
            this.wait_seen()
        if after == "part of the answer":
            client.stream.head()
            client.stream.exactly(4)
        time.sleep(PATIENCE)
        if how == "half":
            client.half_close()
            read_answer(client)
            client.close()
        elif how == "rst":
            client.reset()
        else:
            client.close()

    return visit


def stalls(method="POST", size=3000, sent=1000):
    """Sends a part of its body, and waits for what the proxy makes of it."""

    def visit(this):
        client = this.connect()
        client.send(this.head(client, method, Content_Length=str(size)) + b"x" * sent)
        read_answer(client)
        try:
            client.stream.to_end()
        except (ConnectionError, TimeoutError):
            pass
        client.close()

    return visit


def again(between=None, method="GET", **headers):
    """A good request first, of another id, on the same connection; `between` happens before the
    second."""

    def visit(this):
        client = this.connect()
        this.ask(client, method, X_Request_Id=this.row.id + "-before", **headers)
        read_answer(client, method)
        if between:
            between(this)
        this.ask(client, method, **headers)
        read_answer(client, method)
        client.close()

    return visit


def waits(count=1, **headers):
    """Asks on each of several connections, reads the answers, and waits until the proxy closes."""

    def visit(this):
        clients = [this.connect() for _ in range(count)]
        for client in clients:
            this.ask(client, **headers)
        for client in clients:
            read_answer(client)
        for client in clients:
            client.close_seen()
            client.close()

    return visit


def stays(seconds, count=3):
    """Several connections at once, each with one good exchange, that the client would keep."""

    def visit(this):
        clients = [this.connect() for _ in range(count)]
        for client in clients:
            this.ask(client)
        for client in clients:
            read_answer(client)
        # For as long as this client has patience; it is the other leg's idleness that is looked at.
        time.sleep(seconds)
        for client in clients:
            client.close()

    return visit


def races(this):
    """The origin closes an idle connection while the proxy is too busy to see it, with the next
    request already before it: so it sends that request behind the origin's FIN."""
    client = this.connect()
    this.ask(client, X_Request_Id=this.row.id + "-before")
    read_answer(client)
    os.kill(this.proxy.child.pid, signal.SIGSTOP)
    try:
        wait("the proxy to stand still", lambda: stands_still(this.proxy.child.pid))
        this.ask(client)
        wait_acked(client)
        this.origin.release.set()
        wait(
            "the origin's FIN",
            lambda: any(
                local == this.row.origin_port and state in (FIN_WAIT1, FIN_WAIT2)
                for local, _, state in sockets()
            ),
        )
    finally:
        os.kill(this.proxy.child.pid, signal.SIGCONT)
    read_answer(client)
    client.close()


def forgets(this):
    """The origin no longer knows the idle connection, as after a restart behind an address that
    stayed: nothing that it says of it gets out."""
    client, rule = this.connect(), [
        "OUTPUT",
        "-p",
        "tcp",
        "--sport",
        str(this.row.origin_port),
        "-j",
        "DROP",
    ]
    this.ask(client, X_Request_Id=this.row.id + "-before")
    read_answer(client)
    subprocess.run(["iptables", "-w", "-A", *rule], check=True)
    this.origin.release.set()
    wait(
        "the origin to forget",
        lambda: not any(
            local == this.row.origin_port and state == ESTABLISHED for local, _, state in sockets()
        ),
    )
    # What the proxy still has to acknowledge must not be answered by a RST already.
    time.sleep(IDLE)
    subprocess.run(["iptables", "-w", "-D", *rule], check=True)
    this.ask(client)
    read_answer(client)
    client.close()


def process_ends(count):
    """So many requests wait when the origin's process ends, and another comes behind its end."""

    def visit(this):
        clients = [this.connect() for _ in range(count)]
        for number, client in enumerate(clients):
            this.ask(client, X_Request_Id=f"{this.row.id}-{number}")
        for client in clients:
            read_answer(client)
            client.close()
        plain()(this)

    return visit


def stands_still(pid):
    """Whether all threads of a process are stopped."""
    states = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat") as file:
            states.append(file.read().rsplit(")", 1)[1].split()[0])
    return set(states) == {"T"}


def wait_acked(client):
    """Until the other end's kernel has all that was written."""

    def left():
        return struct.unpack("i", fcntl.ioctl(client.socket, SIOCOUTQ, b"\0" * 4))[0]

    wait("the request to be acknowledged", lambda: left() == 0)


def sends_after_close(this):
    """Sends its next request on a connection that the proxy has closed for idleness."""
    client = this.connect()
    this.ask(client)
    read_answer(client)
    client.close_seen()
    this.ask(client, X_Request_Id=this.row.id + "-after")
    client.close_seen()
    client.close()


def reads_late(seconds, size=4096):
    """Does not read its answer for a while."""

    def visit(this):
        client = Client(port=this.row.port, receive_buffer=size)
        this.ask(client)
        time.sleep(seconds)
        read_answer(client)
        client.close()

    return visit


def never_reads(this):
    """Reads nothing of its answer, and waits until the proxy has logged its end."""
    client = Client(port=this.row.port, receive_buffer=4096)
    this.ask(client)
    wait("the proxy to give this client up", lambda: this.proxy.lines(this.row))
    client.close()


def expects(patience):
    """Waits for a 100 that never comes, and sends its body all the same."""

    def visit(this):
        client = this.connect()
        client.send(this.head(client, "POST", Content_Length="500", Expect="100-continue"))
        time.sleep(patience)
        client.send(b"x" * 500)
        read_answer(client)
        client.close()

    return visit


def fills_queue(this):
    """Takes the only place in the accept queue of the origin, and asks."""
    with socket.create_connection(("127.0.0.1", this.row.origin_port)):
        plain()(this)


def queues(this):
    """Asks while another's request has the only place at the origin."""
    other, client = this.connect(), this.connect()
    this.ask(other, X_Request_Id=this.row.id + "-before")
    this.wait_seen()
    this.ask(client)
    read_answer(client)
    other.close()
    client.close()


def speaks_tls(this):
    """A TLS handshake with whatever is there."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain_socket = socket.create_connection(("127.0.0.1", this.row.port))
    plain_socket.settimeout(5)
    try:
        context.wrap_socket(plain_socket, server_hostname="localhost").close()
    except (ssl.SSLError, ConnectionError, TimeoutError, OSError):
        pass
    plain_socket.close()
