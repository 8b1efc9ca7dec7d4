"""What the network and the kernel do: loss, refusals, silence, full buffers, delayed ACKs, and captures that miss something."""

import subprocess
import time

from case_http import BASE, SERVER, finish, start
from case_mesh import curl
from lab import case, wait, wait_closed
from origin import Origin
from wire import Client


@case("refused", "Connects to a closed port: each a SYN and an RST, no exchange; a good request between them", "curl → a closed port 3001 four times, origin on port 3000")
def refused(case):
    start(case, "tcp port 3000 or tcp port 3001")
    for number in range(4):
        curl("http://127.0.0.1:3001/items", ok=(7,))
        if number == 1:
            case.truth.add("GET", "/items", "ok", 200)
            assert curl(BASE + "/items") == [200]
    case.truth.summary = {"connects_failed": 4}
    finish(case, {"total": 5, "connect-refused": 4})


@case("connect-timeout", "SYNs to a port that swallows them (four in 4 s, two in 2 s), and a good request between the two", "iptables drops what comes in for port 3001; curl --max-time 4")
def connect_timeout(case):
    case.run(["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "3001", "--syn", "-j", "DROP"])
    start(case, "tcp port 3000 or tcp port 3001")
    curl("--max-time", "4", "http://127.0.0.1:3001/items", ok=(28,))
    case.truth.add("GET", "/items", "ok", 200)
    assert curl(BASE + "/items") == [200]
    curl("--max-time", "2", "http://127.0.0.1:3001/items", ok=(28,))
    case.truth.summary = {"connects_failed": 2}
    finish(case, {"total": 3, "connect-timeout": 2})


@case("loss", "Random loss of 10 % of the packets behind the vantage: retransmissions both ways, every exchange good all the same, the answers several segments long",
      "iptables -m statistic on `lo` (what it drops is in the capture, and so is the repeat); MTU 1500, no segmentation offload; keep-alive connections with 9 requests each")
def loss(case):
    case.run(["ip", "link", "set", "dev", "lo", "mtu", "1500", "gso_max_segs", "1"])
    for direction in ("--sport", "--dport"):
        case.run(["iptables", "-A", "INPUT", "-p", "tcp", direction, "3000", "-m", "statistic", "--mode", "random", "--probability", "0.1", "-j", "DROP"])
    start(case)

    def dropped():
        # The connects may each have lost a SYN too: what was dropped is known by iptables' counters only.
        rules = case.run(["iptables", "-nvxL", "INPUT"]).stdout.splitlines()
        return sum(int(rule.split()[0]) for rule in rules if "statistic" in rule)

    number = -1
    while number < 1 or dropped() < 6:      # two connections, and more if chance was kind
        number += 1
        client = Client()
        for item in range(9):
            path = f"/items/{number}-{item}?size=1800"
            # Post every third one: the client's own segments get lost too.
            if item % 3 == 2:
                case.truth.add("POST", path, "ok", 200)
                client.exchange("POST", path, 200, body=b"x" * 1600)
            else:
                case.truth.add("GET", path, "ok", 200)
                client.exchange("GET", path, 200)
        client.close()
    wait_closed(3000)
    case.truth.connections = {"total": number + 1, "packets_dropped_after_the_vantage": dropped()}
    case.finish()


@case("zero-window", "A server that does not read: the window of an upload closes for 1.2 s and opens again (ok); another never reads and the client resets inside its request; a client that does not read its answer for 0.7 s (ok)",
      "raw client → origin with a receive buffer of 4 KiB")
def zero_window(case):
    origin = start(case, receive_buffer=4096)
    case.truth.add("POST", "/stalled-upload?stall=1200", "ok", 200, findings=["zero-window"])
    client = Client()
    client.exchange("POST", "/stalled-upload?stall=1200", 200, body=b"x" * 12000)
    client.close()
    case.truth.add("POST", "/stalled-upload?stall=0", "client-aborted-request", None, findings=["zero-window"])
    client = Client()
    client.socket.setblocking(False)
    client.socket.send(client.head("POST", "/stalled-upload?stall=0", Content_Length="40000") + b"x" * 40000)
    time.sleep(0.7)     # the client's patience: two window probes long
    client.reset()
    origin.release.set()
    case.truth.add("GET", "/slow-reader?size=12000", "ok", 200, findings=["zero-window"])
    client = Client(receive_buffer=4096)
    client.request("GET", "/slow-reader?size=12000")
    wait("the origin to have the request", lambda: origin.seen["/slow-reader?size=12000"])
    time.sleep(0.7)
    assert client.response() == 200
    client.close()
    finish(case, {"total": 3})


def time_behind_ack(case, number):
    """Seconds from the packet before the `number`th segment of 300 bytes to that segment."""
    def times():
        command = ["tshark", "-r", case.captures[0].path, "-Y", "tcp.len == 300 && tcp.dstport == 3000", "-T", "fields", "-e", "tcp.time_delta"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    wait("the segment to be in the file", lambda: len(times()) >= number)
    return float(times()[number - 1])


@case("delayed-ack", "Nagle's algorithm against delayed ACKs: the client writes head and body apart, the kernel holds the body back until the server's ACK, which comes 40 ms late (`delayed-ack-stall`); the same POST in one write beside it",
      "raw client without TCP_NODELAY → origin, one connection", alone=True)
def delayed_ack(case):
    start(case)
    client = Client(nagle=True)
    for number in range(1, 5):
        case.truth.add("GET", f"/items/{number}", "ok", 200)
        client.exchange("GET", f"/items/{number}", 200)
    stalled = number = 0
    while stalled < 3:
        number += 1
        assert number <= 20, "no ACK was late, or the machine stood still behind each"
        path = f"/items?stalled={number}"
        client.send(client.head("POST", path, Content_Length="300"))
        client.send(b"x" * 300)
        held = client.held_back()
        assert client.response() == 200
        # Where the origin was slow to answer the one before, the kernel may acknowledge at once; and a machine that
        # stands still between the ACK and the body shows something else.
        if held > 0.035 and time_behind_ack(case, number) < 80e-6:
            stalled += 1
            case.truth.add("POST", path, "ok", 200, findings=["delayed-ack-stall"])
        else:
            case.truth.add("POST", path, "ok", 200)
    case.truth.add("POST", "/items?at-once", "ok", 200)
    client.exchange("POST", "/items?at-once", 200, body=b"x" * 300)
    client.close()
    finish(case, {"total": 1})


@case("snaplen-96", "A snap length of 96 bytes: good exchanges, a give-up and an early close, of which only the first 30 bytes of each segment are there",
      "tcpdump -s 96; raw client → origin")
def snaplen_96(case):
    origin = start(case, snaplen=96, nano=False)
    client = Client()
    for path, status in (("/items", 200), ("/a", 200), ("/missing", 404), ("/items?size=3000", 200), ("/chunked", 200)):
        case.truth.add("GET", path, "ok", status, certain=False)
        client.exchange("GET", path, status)
    case.truth.add("GET", "/stall?late=1", "client-gave-up", None, certain=False, late_status=200)
    client.request("GET", "/stall?late=1")
    time.sleep(0.25)
    client.close()
    wait("the late answer", lambda: origin.done["/stall?late=1"])
    case.truth.add("GET", "/close", "server-closed-unanswered", None, certain=False)
    client = Client()
    client.request("GET", "/close")
    assert client.close_seen() == "fin"
    client.close()
    case.truth.add("POST", "/items", "ok", 200, certain=False)
    client = Client()
    client.exchange("POST", "/items", 200, body=b"x" * 500)
    client.close()
    finish(case, {"total": 3})


@case("mid-stream", "tcpdump starts while connections are in use: one idle between two requests, one waiting for a slow answer (an orphan response), one inside an upload; then more requests on all three, and a give-up on a connection whose SYN was never seen",
      "raw clients → origin; the first requests before tcpdump listens")
def mid_stream(case):
    origin = Origin(quick_ack=True)
    truth = case.truth
    truth.server = SERVER
    idle, waiting, uploading = Client(), Client(), Client()
    for client in (idle, waiting, uploading):
        client.exchange("GET", "/items/before", 200)
    waiting.request("GET", "/stall-until-released")
    uploading.send(uploading.head("POST", "/items?upload", Content_Length="900") + b"x" * 600)
    wait("the origin to have the requests", lambda: origin.seen["/stall-until-released"] and origin.seen["/items?upload"])
    case.capture("tcp port 3000")
    truth.add("GET", "/items/1", "ok", 200)
    idle.exchange("GET", "/items/1", 200)
    # The answers to requests that the capture does not have.
    origin.release.set()
    assert waiting.response() == 200
    uploading.send(b"x" * 300)
    assert uploading.response() == 200
    for number, client in enumerate((idle, waiting, uploading), 2):
        truth.add("GET", f"/items/{number}", "ok", 200)
        client.exchange("GET", f"/items/{number}", 200)
    truth.add("GET", "/stall-before-answer?late=1", "client-gave-up", None, late_status=200)
    idle.request("GET", "/stall-before-answer?late=1")
    time.sleep(0.25)
    for client in (idle, waiting, uploading):
        client.close()
    wait("the late answer", lambda: origin.done["/stall-before-answer?late=1"])
    truth.connections = {"orphan_responses": 2}
    finish(case, {"total": 3, "orphan_responses": 2})


@case("capture-ended", "The capture ends while two requests wait for their answers (`unanswered`), one of them inside its own body, after good exchanges on both connections",
      "raw clients → origin; tcpdump ends first")
def capture_ended(case):
    origin = start(case)
    truth = case.truth
    first, second = Client(), Client()
    truth.add("GET", "/items/1", "ok", 200)
    first.exchange("GET", "/items/1", 200)
    truth.add("GET", "/items/2", "ok", 200)
    second.exchange("GET", "/items/2", 200)
    truth.add("GET", "/stall-before-answer", "unanswered", None, certain=False)
    first.request("GET", "/stall-before-answer")
    truth.add("POST", "/items?half", "unanswered", None, certain=False)
    second.send(second.head("POST", "/items?half", Content_Length="2000") + b"x" * 500)
    wait("the origin to have them", lambda: origin.seen["/stall-before-answer"] and origin.seen["/items?half"])
    truth.connections = {"total": 2}
    case.finish()


@case("one-sided", "Only the packets towards the server: requests without answers, of which nothing may be claimed; the clients had a good answer to each but the last, which they gave up",
      "as others, filter `tcp dst port 3000`")
def one_sided(case):
    origin = start(case, "tcp dst port 3000")
    client = Client()
    for number in range(1, 4):
        case.truth.add("GET", f"/items/{number}", "ok", 200, certain=False)
        client.exchange("GET", f"/items/{number}", 200)
    case.truth.add("GET", "/stall-before-answer", "client-gave-up", None, certain=False)
    client.request("GET", "/stall-before-answer")
    time.sleep(0.25)
    client.close()
    finish(case, {"total": 1})
