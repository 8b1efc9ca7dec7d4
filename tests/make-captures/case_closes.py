"""Who hung up on whom, at every phase of an exchange, with a FIN and with an RST."""

import time

from case_http import BASE, SERVER, finish, start
from case_mesh import curl
from lab import case, wait
from origin import Origin
from wire import Client

PATIENCE = 0.15     # seconds that a client of these cases waits before it hangs up: its behaviour, not a wait for anything


def partial_request(kind, client, path):
    """The first part of a POST of 3000 bytes: a head cut in the middle, or a whole head and a third of the body."""
    head = client.head("POST", path, Content_Length="3000")
    client.send(head[:-12] if kind == "head" else head + b"x" * 1000)


def client_closes(case, origin, how):
    """The client closes at each phase. `how` is Client.close (a FIN, everything having been read) or Client.reset."""
    truth = case.truth
    for kind in ("head", "body"):
        path = f"/items?client-closes-in={kind}"
        truth.add("POST", path, "client-aborted-request", None)
        client = Client()
        partial_request(kind, client, path)
        time.sleep(PATIENCE)
        how(client)
    # The origin answers when it has seen the client's close: it can after a FIN, and not after an RST.
    for late_answer in (True, False) if how is Client.close else (False,):
        path = "/stall-before-answer" + ("?late=1" if late_answer else "")
        truth.add("GET", path, "client-gave-up", None, **({"late_status": 200} if late_answer else {}))
        client = Client()
        client.request("GET", path)
        time.sleep(PATIENCE)
        how(client)
        wait("the origin to have seen it", lambda: origin.done[path])
    truth.add("GET", "/stall-in-body", "client-gave-up-mid-response", 200)
    client = Client()
    client.request("GET", "/stall-in-body")
    assert client.stream.head().status == 200
    client.stream.exactly(400)
    time.sleep(PATIENCE)
    how(client)
    wait("the origin to have seen it", lambda: origin.seen["/stall-in-body"])
    truth.add("GET", "/items?closed-after", "ok", 200, note="the close comes after the answer")
    client = Client()
    client.exchange("GET", "/items?closed-after", 200)
    time.sleep(PATIENCE)
    how(client)


def server_closes(case, paths, expected):
    truth = case.truth
    for path, verdict, status in paths:
        method = "POST" if "in-request" in path else "GET"
        # A good request first: a close on a connection in use, as in a pool.
        truth.add("GET", "/items", "ok", 200)
        truth.add(method, path, verdict, status)
        client = Client()
        client.exchange("GET", "/items", 200)
        if method == "POST":
            client.send(client.head(method, path, Content_Length="3000") + b"x" * 1000)
        else:
            client.request(method, path)
        assert client.close_seen() == expected, path
        client.close()


@case("closes", "A FIN at every phase: by the client inside its head, inside its body, before the answer (with and without a late answer), inside the answer, after it; by the server inside the request, before the answer, inside a head, a known length, a chunk, between chunks, and after an until-close body (ok)",
      "raw client → origin")
def closes(case):
    origin = start(case)
    client_closes(case, origin, Client.close)
    server_closes(case, (
        ("/close-in-request?after=1000", "server-closed-unanswered", None), ("/close-before-answer", "server-closed-unanswered", None),
        ("/close-before-answer?delay=200", "server-closed-unanswered", None), ("/close-in-head", "server-truncated-response", 200),
        ("/close-in-body", "server-truncated-response", 200), ("/chunked-cut", "server-truncated-response", 200),
        ("/chunked-without-end", "server-truncated-response", 200), ("/until-close", "ok", 200)), "fin")
    finish(case, {"total": 14})


@case("resets", "An RST at every phase: by the client inside its head, inside its body, before the answer, inside the answer, after it; by the server inside the request, before the answer, inside a known length, a chunk, an until-close body",
      "raw client → origin, SO_LINGER with zero seconds")
def resets(case):
    origin = start(case)
    client_closes(case, origin, Client.reset)
    server_closes(case, (
        ("/reset-in-request?after=1000", "server-reset-unanswered", None), ("/reset-before-answer", "server-reset-unanswered", None),
        ("/reset-before-answer?delay=200", "server-reset-unanswered", None), ("/reset-in-body", "server-truncated-response", 200),
        ("/chunked-reset", "server-truncated-response", 200), ("/until-close-reset", "server-truncated-response", 200)), "rst")
    finish(case, {"total": 11})


@case("keepalive-race", "The origin closes an idle connection after 300 ms, and the client sends its next request on it 50 ms later: `server-closed-unanswered` with `keepalive-race`; beside it an idle close that nothing races with",
      "raw client → origin with a keep-alive timeout of 0.3 s")
def keepalive_race(case):
    start(case, keepalive=0.3)
    for raced in (True, False):
        client = Client()
        case.truth.add("GET", "/items", "ok", 200)
        client.exchange("GET", "/items", 200)
        assert client.close_seen() == "fin"
        if raced:
            time.sleep(0.05)
            case.truth.add("GET", "/items/after-the-fin", "server-closed-unanswered", None, findings=["keepalive-race"])
            client.request("GET", "/items/after-the-fin")
        client.close()
    finish(case, {"total": 2})


@case("chunked-cut", "Chunked answers cut inside a chunk and between two chunks by FIN, and inside a chunk by RST", "curl → origin")
def chunked_cut(case):
    start(case, nano=False)
    for path in ("/chunked", "/chunked-cut", "/chunked-without-end", "/chunked-reset"):
        case.truth.add("GET", path, "ok" if path == "/chunked" else "server-truncated-response", 200)
        curl(BASE + path, ok=(0, 18, 56))
    finish(case, {"total": 4})


@case("garbage", "Bytes that are no status line where an answer was due, after a good exchange on the same connection", "raw client → origin")
def garbage(case):
    start(case)
    client = Client()
    case.truth.add("GET", "/items", "ok", 200)
    client.exchange("GET", "/items", 200)
    case.truth.add("GET", "/garbage", "server-invalid-response", None)
    client.request("GET", "/garbage")
    client.close_seen()
    client.close()
    finish(case, {"total": 1})


@case("half-close", "The client shuts down its sending side after the request and the origin answers all the same, at once and 300 ms later: both `ok`, no give-up", "raw client → origin")
def half_close(case):
    start(case)
    for path in ("/items", "/items?delay=300", "/chunked", "/until-close"):
        case.truth.add("GET", path, "ok", 200, note="half-close")
        client = Client()
        client.request("GET", path)
        client.half_close()
        assert client.response() == 200
        client.close()
    finish(case, {"total": 4})
