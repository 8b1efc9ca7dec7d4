"""What a situation is, and the truth that a proxy's log tells about it."""

import dataclasses
import subprocess

from lab import LISTEN, sockets, wait

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
    # For the proxy's configuration and the origin; and "lingers": when and how the downstream
    # connection ends is not what the log tells.
    options: dict = dataclasses.field(default_factory=dict)
    upstream: str = "origin"
    timer: float = None
    # Findings that the upstream exchange must have: no proxy logs what the bench has done.
    findings: tuple = ()
    # The same of the downstream exchange.
    down_findings: tuple = ()
    # The situation whose listener this one's proxy calls: two proxies in a row.
    behind: str = None
    # The request id that it shares with that one.
    known_as: str = None
    # The proxy's close cannot be seen, or is not the other side's fault: why.
    unseen: str = None
    # Whether the request is of another version, so that it makes no exchange of HTTP/1.
    other: bool = False
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
            return next(
                one.port for one in SITUATIONS if (one.proxy, one.name) == (self.proxy, self.behind)
            )
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
