"""Situations, the truth that a proxy's log tells about each, and how a report is held against it."""

import collections
import dataclasses
import fcntl
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import time

from lab import LISTEN, sockets, wait
from wire import Client

# Flags that tell of the upstream's side, and so belong to the leg on which the proxy is the client.
UPSTREAM_FLAGS = {"UT", "UC", "UPE", "SI", "DC", "UF"}
# Nothing on the wire tells that a request was tried before, or that a filter held it back.
UNTELLABLE = {"URX", "DI"}
# A duration in a log begins when the proxy comes to read the request, which on a busy machine is
# later than on the wire. Beyond so many milliseconds the situation is tried again.
MAX_OFF_MS = 250
# And is a whole number of milliseconds of another clock.
MAX_EARLY_MS = 12

SITUATIONS = []
# A request's head, without the empty line, for clients that write their own bytes.
RAW_HEAD = "GET {target} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {id}\r\n"


@dataclasses.dataclass
class Situation:
    """One row: which proxy, what is asked and answered, and what kind of line the log must have.

    `want` are the log's own words for the kind that is meant: a situation that did not occur fails.
    `timer` is the configured time in milliseconds after which the proxy closes its upstream side.
    """

    proxy: str
    name: str
    want: dict
    path: str = "/items"
    client: object = None
    options: dict = dataclasses.field(default_factory=dict)
    upstream: str = "origin"
    timer: float = None
    # Findings that the upstream exchange must have: what the proxy cannot log, and the bench has done.
    findings: tuple = ()
    # The same of the downstream exchange.
    down_findings: tuple = ()
    # The situation whose listener this one's proxy calls: two proxies in a row.
    behind: str = None
    # The request id that it shares with that one.
    known_as: str = None
    # The proxy's close cannot be seen, or is not the other side's fault: why.
    unseen: str = None
    # Who closed the upstream exchange, where the proxy's log cannot know and the bench does.
    closed: object = False
    # Instead of holding the log against exchanges: what is wrong, from (situation, report, truth).
    check: object = None
    # What the log cannot have: a line for a request that never became one.
    logged: bool = True
    number: int = None
    took: float = 0.0

    @property
    def port(self):
        return 10000 + self.number

    @property
    def origin_port(self):
        return 20000 + self.number

    @property
    def upstream_port(self):
        """Where the proxy connects to: the origin, a relay before it, or the next proxy."""
        if self.behind:
            return next(one.port for one in SITUATIONS if (one.proxy, one.name) == (self.proxy, self.behind))
        return 25000 + self.number if self.upstream == "relay" else self.origin_port

    @property
    def id(self):
        return self.known_as or f"faults-{self.proxy}-{self.name}"

    @property
    def target(self):
        return f"{self.path}{'&' if '?' in self.path else '?'}situation={self.name}"


def situation(proxy, name, want, **more):
    row = Situation(proxy, name, want, number=len(SITUATIONS), **more)
    if any((one.proxy, one.name) == (row.proxy, row.name) for one in SITUATIONS):
        raise ValueError(f"there are two situations {proxy} {name}")
    SITUATIONS.append(row)


def block(port, *only, way="--dport"):
    """What comes in for the port (or from it) is dropped; all of it, or only some."""
    rule = ["-A", "INPUT", "-p", "tcp", way, str(port), *only, "-j", "DROP"]
    subprocess.run(["iptables", "-w", *rule], check=True, capture_output=True)


def wait_all_listening(child, errors, rows):
    """Until a proxy listens for all of its situations."""
    ports = {row.port for row in rows}

    def listening():
        if child.poll() is not None:
            with open(errors) as file:
                raise RuntimeError(f"the proxy ended: {file.read()[-1000:]}")
        return ports <= {local for local, _, state in sockets() if state == LISTEN}

    wait("the proxy to listen", listening)


# ---- Clients. Each is a function of a Visit.


def keeps(kind, *sides, ms=500):
    """A check: three connections that one side closed for idleness, of which there has to be a timer.
    `sides` are (leg, who): ("down", "server") is the proxy towards its callers."""
    def check(row, report, truth):
        wrong = []
        for leg, who in sides:
            port = row.port if leg == "down" else row.origin_port
            timers = [one for one in report.timers_of(port) if one.get("kind") == kind]
            said = [(one["closed_by"], one["count"], one["ms_min"], one["ms_max"]) for one in timers]
            if not any(by == who and count == 3 and fires(ms, low) and fires(ms, high)
                       for by, count, low, high in said):
                wrong.append(f"{leg}stream timer: said {said or 'none'}, but the {who} closed 3 of 3 "
                             f"idle connections after {ms} ms ({kind})")
        return wrong
    return check


def connection_is(*verdicts):
    """A check: the downstream connection itself has one of these verdicts."""
    def check(row, report, truth):
        said = [one["verdict"] for one in report.connections_of(row.port)]
        if len(said) == 1 and said[0] in verdicts:
            return []
        return [f"downstream connection: said {said}, it is {' or '.join(verdicts)}"]
    return check


def gateway(row, report, truth):
    """A check: the leg behind the next proxy names this one's flags as those of the proxy before."""
    wrong = judge(row, report, truth)
    behind = next(one for one in SITUATIONS if (one.proxy, one.name) == (row.proxy, row.behind))
    for one in report.of(behind.origin_port, row.id):
        said = one["envoy"].get("client_downstream", [])
        if set(truth.down.flags) - UNTELLABLE - set(said):
            wrong.append(f"client_downstream: said {said}, the gateway's log says {truth.down.flags}")
    return wrong


def queue_is_full(row, report, truth):
    """A check: the origin answered one SYN and not the other, and that is said."""
    wrong = judge(row, report, truth)
    said = [one["explanation"] for one in report.connections_of(row.origin_port) if one["verdict"]]
    if not any("accept queue" in (one or "") for one in said):
        wrong.append(f"upstream connection: said {said}, the bench has filled the accept queue")
    return wrong


def left_unanswered(row, report, truth):
    """A check: the proxy closed without an answer, and nobody was asked."""
    said = [(one["verdict"], one["certainty"]) for one in report.by_port[row.port]]
    if len(said) == 1 and said[0][0].startswith("server-") and "unanswered" in said[0][0] and said[0][1] == "certain":
        return []
    return [f"downstream: said {said}, the proxy closed without an answer"]


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
            text = part.format(id=this.row.id, target=this.row.target, port=this.row.port) if isinstance(part, str) else part
            client.send(text)
        try:
            client.socket.settimeout(5)
            client.stream.to_end()
        except (ConnectionError, TimeoutError):
            pass
        client.close()
    return visit


PATIENCE = 0.15  # Seconds for which an impatient client waits: its behaviour, no wait for anything.


def leaves(how, after="request", method="GET", size=3000):
    """Hangs up: how is "fin", "rst" or "half"; after its request, inside it, or inside the answer."""
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
        this.ask(client)
        wait_acked(client)
        this.origin.release.set()
        wait("the origin's FIN", lambda: any(
            local == this.row.origin_port and state in (FIN_WAIT1, FIN_WAIT2) for local, _, state in sockets()))
    finally:
        os.kill(this.proxy.child.pid, signal.SIGCONT)
    read_answer(client)
    client.close()


FIN_WAIT1, FIN_WAIT2 = 4, 5
SIOCOUTQ = 0x5411


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


def raced(row, report, truth):
    """A check of this: the second request was never answered."""
    said = [(one["verdict"], [f["kind"] for f in one["findings"]], one["certainty"]) for one in report.by_port[row.port]
            if one["request_id"] == row.id + "-after"]
    if said == [("server-closed-unanswered", ["keepalive-race"], "certain")]:
        return []
    return [f"downstream: said {said}, the request left after the proxy's FIN"]


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


# ---- Truth


@dataclasses.dataclass
class Leg:
    """What must be said of an exchange: its status on the wire, who closed inside it, the flags.

    `flags` is None where the log says nothing of them; `closed` is "client", "server" or None, and
    False where the log does not tell."""

    status: int = None
    closed: object = None
    flags: list = None
    own: object = None  # Whether the proxy made the answer itself; None if that is not known.


@dataclasses.dataclass
class Truth:
    """What the log says. `up` is None where the proxy asked nobody; "connect" where it did not get
    through."""

    said: str
    down: Leg
    up: object = None
    ms: float = None  # How long the log says that it took.
    words: tuple = ()  # The log's codes, as `logs` of an exchange has to name them.


# ---- Judging


class Report:
    def __init__(self, document):
        self.exchanges, self.connections = document["exchanges"], document["connections"]
        self.summary = document["summary"]
        self.by_port = collections.defaultdict(list)
        for one in self.exchanges:
            self.by_port[port_of(one)].append(one)

    def of(self, port, request_id):
        """The exchanges of a server's port with this request id; without any id, all of them."""
        found = self.by_port[port]
        named = [one for one in found if one["request_id"] == request_id]
        return named or [one for one in found if one["request_id"] is None]

    def connections_of(self, port):
        return [one for one in self.connections if port_of(one) == port]

    def timers_of(self, port):
        return [one for one in self.summary["timers"] if port_of(one) == port]


def port_of(one):
    return int(one["server"].rsplit(":", 1)[1])


def closer(exchange):
    """Who is said to have ended the exchange."""
    verdict = exchange["verdict"]
    if verdict in ("ok", "upgraded", "unanswered"):
        return None
    # An answer that is no HTTP is the server's, whoever closed upon it.
    return "client" if verdict.startswith("client-") else "server"


def judge(row, report, truth):
    """What the report says wrongly, a sentence each."""
    wrong = []

    def hold(what, said, log):
        if said != log:
            wrong.append(f"{what}: said {said}, the log says {log}")

    late = None
    down = report.of(row.port, row.id)
    if len(down) != 1:
        return [f"downstream: said {len(down)} exchanges, the log says 1"]
    exchange = down[0]
    hold("downstream status", exchange["status"], truth.down.status)
    if truth.down.closed is not False and not row.options.get("lingers"):
        hold("downstream closed by", closer(exchange), truth.down.closed)
    hold("downstream certainty", exchange["certainty"], "certain")
    flags_of(wrong, "downstream", exchange["envoy"].get("server", []), truth.down)
    # What a gateway passes on may be the next proxy's own: either is right.
    if truth.down.own is not None and not row.behind and "answered_by" in exchange:
        hold("answered by", exchange["answered_by"], "proxy" if truth.down.own else "server")
        if truth.down.own and exchange.get("proxy"):
            hold("software", exchange["proxy"]["software"].lower(), row.proxy)
    # Having cut an answer a proxy may linger: its log has the decision, not the close.
    if truth.ms is not None and truth.down.closed != "server" and exchange["verdict"] != "upgraded":
        took = duration(exchange)
        off = None if took is None else took - truth.ms
        # Of a client's close a proxy learns later than the wire.
        earliest = -MAX_OFF_MS if truth.down.closed == "client" else -MAX_EARLY_MS
        if off is None or off < earliest:
            wrong.append(f"downstream took: said {took} ms, the log says {truth.ms}")
        elif off > MAX_OFF_MS and not row.options.get("lingers"):
            late = f"it took {took:.0f} ms on the wire, and {truth.ms:.0f} ms in the log"
    if truth.words and "logs" in exchange:
        told = json.dumps(exchange["logs"])
        for word in truth.words:
            if word not in told:
                wrong.append(f"logs: said {told}, the log says {word}")
    status = truth.down.status or 0
    for kind in row.down_findings:
        if kind not in {one["kind"] for one in exchange["findings"]}:
            wrong.append(f"downstream findings: said no {kind}, which the bench has made")
    if exchange["good"] and (truth.down.closed or status >= 500 or status == 408):
        wrong.append("good: said true, the log says it was not")
    wrong += upstream(row, report, truth)
    if late and not wrong:
        raise Late(late)
    return wrong


def flags_of(wrong, where, said, leg):
    if leg.flags is None:
        return
    want = set(leg.flags) - UNTELLABLE
    if want and leg.closed == "server" and where == "downstream" and not said:
        return  # The client sees a cut answer, not why: nothing is said, nothing is wrong.
    if want - set(said) or (said and not want):
        log = ",".join(leg.flags) or "-"
        wrong.append(f"{where} flags: said {','.join(said) or '-'}, the log says {log}")


def upstream(row, report, truth):
    wrong = []
    found = report.of(row.upstream_port, row.id)
    if truth.up is None:
        if found:
            wrong.append(f"upstream: said {len(found)} exchanges, the log says that none was asked")
        return wrong
    if truth.up == "connect":
        failed = [one for one in report.connections_of(row.upstream_port)
                  if (one["verdict"] or "").startswith(("connect-", "tls-"))]
        if not failed:
            wrong.append("upstream: said no failed connect, the log says so")
        for one in failed:
            said = one["envoy"].get("client", [])
            if truth.down.flags is not None and "UF" not in said:
                wrong.append(f"upstream connect flags: said {said}, the log says {truth.down.flags}")
        return wrong
    if not found:
        return ["upstream: said no exchange, the log says that the origin was asked"]
    last = max(found, key=lambda one: one["events"][0]["frame"])
    for kind in row.findings:
        if kind not in {one["kind"] for one in last["findings"]}:
            wrong.append(f"upstream findings: said no {kind}, which the bench has made")
    if row.unseen:
        return wrong
    if row.closed is not False:
        truth.up.closed = row.closed
    if truth.up.closed is not False and closer(last) != truth.up.closed:
        wrong.append(f"upstream closed by: said {closer(last)} ({last['verdict']}), "
                     f"the log says {truth.up.closed}")
    if last["certainty"] != "certain":
        wrong.append(f"upstream certainty: said {last['certainty_reason']}")
    flags_of(wrong, "upstream", last["envoy"].get("client", []), truth.up)
    if row.timer is not None:
        wrong += timer(row, last, truth)
    return wrong


def timer(row, exchange, truth):
    """The gap that the proxy's timer made, held against what was configured."""
    gaps = exchange["gaps"]
    silence = "SI" in (truth.up.flags or []) or row.options.get("silence")
    name = "response_silence" if silence and exchange["status"] else "request_to_client_close"
    if name == "response_silence" and name not in gaps:
        return [f"upstream timer: said no {name}, the log says {row.timer:.0f} ms"]
    ms = gaps.get(name)
    if ms is not None and row.timer * 1.03 + 10 < ms < row.timer * 1.03 + MAX_OFF_MS:
        raise Late(f"the proxy's timer of {row.timer} ms fired after {ms} ms: the machine is busy")
    if ms is None or not fires(row.timer, ms):
        return [f"upstream timer: said {name} {ms} ms, configured are {row.timer:.0f}"]
    return []


class Late(Exception):
    """The situation did not occur as it was meant."""


def fires(timeout, ms):
    """Whether a gap is the timeout's, as a report would match it."""
    return timeout - max(10, timeout * 0.05) <= ms <= timeout + max(10, timeout * 0.03)


def duration(exchange):
    """From the request's first byte to what ended the exchange, in milliseconds."""
    gaps, at = exchange["gaps"], {}
    for event in exchange["events"]:
        at.setdefault(event["kind"], event["t"])
    if exchange["verdict"] == "ok" and "total" in gaps:
        return gaps["total"]
    ends = [at[kind] for kind in ("client_fin", "client_rst", "server_fin", "server_rst") if kind in at]
    return (min(ends) - at["request_start"]) * 1000 if ends else None
