"""gRPC: Python's and Go's libraries with themselves, and gRPC-Web and Connect through Envoy."""

import json
import os
import subprocess
import threading
import time

from lab import case, wait, wait_closed, wait_listening
from streams import Streams

GRPC = ("grpcio==1.85.3", "grpcio-health-checking==1.85.1")
KINDS = "the four kinds of call, a call beside a stream, a message larger than a frame, gzip, statuses in trailers and trailers-only, a percent-encoded message, an unknown method, a deadline of 500 ms, calls that the client cancels before and inside the answer, health checks, UNAVAILABLE that is tried again, pings that keep a connection alive"


@case("grpc-python",
      f"Python's gRPC: {KINDS}; pings that are too many (GOAWAY with ENHANCE_YOUR_CALM), a server that is stopped gracefully and one that is not",
      "client and server of grpcio on ports 50051 and, for other server settings, 50052", packages=GRPC, alone=True)
def grpc_python(case):
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    os.environ["GRPC_VERBOSITY"] = "NONE"
    from grpc_python import SERVICE, TEA, Client, Server, outcome, stream_outcome, text
    import grpc
    from grpc_health.v1 import health_pb2
    pings = (("grpc.http2.min_recv_ping_interval_without_data_ms", 50), ("grpc.http2.max_ping_strikes", 0))
    server = Server(50051, pings)
    streams = Streams(case, "127.0.0.1:50051")
    case.capture("tcp port 50051 or tcp port 50052")
    taken = {}

    def entries(server, count=1):
        """The next calls that the server has had."""
        begin = taken.get(server, 0)
        server.wait_entries(begin + count)
        taken[server] = begin + count
        return server.log.entries[begin:begin + count]

    def put(entry, code, message, received, verdict="ok", status=200, reset=None, sent=True, its_own=False, **more):
        """A stream. `sent`: the status went out, that of the handler, or that of the server's library (`its_own`), whose words
        the client then has."""
        entry.over.wait(10)
        answered = (code, message) if its_own else (entry.status, entry.message or message) if sent else (None, None)
        streams.grpc(entry.port, entry.stream, entry.path, status, *answered, (entry.received, received), verdict, reset=reset, client_status=code, client_message=message,
                     server=f"127.0.0.1:{entry.server}", **more)

    def told(client, done, expected, attempts=1, **more):
        code, message, received = done
        assert code == expected, (code, message)
        found = entries(client.server, attempts)
        for entry in found:
            entry.server = client.server.port
        for number, entry in enumerate(found[:-1], 1):
            put(entry, None, None, 0, note=f"attempt {number} of {attempts}: the client's library tries again")
        put(found[-1], code, message, received, **more)
        return found[-1]

    def get(client, request=TEA, expected=0, timeout=None, **more):
        return told(client, outcome(client.stubs["GetItem"].future(text(request), timeout=timeout)), expected, **more)

    def listed(client, request, expected=0, most=None, **more):
        return told(client, stream_outcome(client.stubs["ListItems"](text(request)), most), expected, **more)

    client = Client(server)
    first = get(client)
    told(client, outcome(client.stubs["AddItems"].future(iter([text(TEA), text("item=rice"), text("item=milk")]))), 0)
    listed(client, "count=5&gap=20")

    def chat(client):
        """Each message after the answer to the one before."""
        answered = threading.Semaphore()

        def messages():
            for word in ("one", "two", "three"):
                answered.acquire()
                yield text(word)
        call, count = client.stubs["Chat"](messages()), 0
        for _ in call:
            count += 1
            answered.release()
        return call.code().value[0], None, count
    told(client, chat(client), 0)
    # A unary call while a stream of answers goes on.
    slow = client.stubs["ListItems"](text("count=4&gap=60"))
    next(slow)
    quick = outcome(client.stubs["GetItem"].future(text(TEA)))
    code, message, count = stream_outcome(slow)
    told(client, (code, message, count + 1), 0)
    told(client, quick, 0)
    get(client, "size=20000", note="the answer takes two DATA frames")
    get(client, "trailer=", note="trailing metadata x-checksum-bin")
    get(client, "status=NOT_FOUND&message=no such item", 5, note="trailers-only")
    get(client, "status=UNAVAILABLE&message=closed for today", 14, note="trailers-only")
    get(client, "status=INTERNAL&message=Käse ist aus: 100 %25 weg", 13, note="trailers-only; the message is percent-encoded")
    get(client, "head=&status=PERMISSION_DENIED&message=not for you", 7, note="headers, then trailers")
    listed(client, "count=2&status=RESOURCE_EXHAUSTED&message=that is all", 8, note="status in trailers after two messages")
    get(client, "raise=", 2, note="the handler raised an exception")
    code, message, received = outcome(client.stubs["Nothing"].future(text(TEA)))
    assert code == 12
    streams.grpc(first.port, server.log.unseen(first.port), f"/{SERVICE}/Nothing", 200, 12, message, (1, 0), client_status=code, client_message=message, note="no such method")
    told(client, outcome(client.health.future(health_pb2.HealthCheckRequest(service=SERVICE))), 0, note="SERVING", expect={"probe": True})
    told(client, outcome(client.health.future(health_pb2.HealthCheckRequest(service="shop.v1.Other"))), 5, note="unknown service", expect={"probe": True})
    get(client, "sleep=3000", 4, timeout=0.5, status=None, sent=False, verdict="client-gave-up", reset=("client", "CANCEL"),
        note="the client's deadline of 500 ms; the server knows it, too (grpc-timeout), and answers at about the same time, most often too late")
    call = client.stubs["GetItem"].future(text("sleep=3001"))
    server.wait_entries(taken[server] + 1)
    time.sleep(0.2)
    call.cancel()
    told(client, outcome(call), 1, status=None, sent=False, verdict="client-gave-up", reset=("client", "CANCEL"), note="cancelled after 200 ms")
    listed(client, "count=2&stall=", 1, most=2, status=200, sent=False, verdict="client-gave-up-mid-response", reset=("client", "CANCEL"), note="cancelled after two messages")
    get(client)
    client.close()
    streams.connection(first.port, ended="by the client")

    def one_call(client, *arguments, **more):
        """A client with a connection for one call."""
        entry = get(client, *arguments, **{key: value for key, value in more.items() if key != "connection"})
        streams.connection(entry.port, server=f"127.0.0.1:{client.server.port}", **more.get("connection", {"ended": "by the client"}))
        client.close()

    one_call(Client(server, compression=grpc.Compression.Gzip), "size=3000&" + "note=" + "tea and rice " * 40, note="gzip, request and answer", connection={"ended": "by the client", "note": "gzip"})
    policy = {"methodConfig": [{"name": [{}], "retryPolicy": {
        "maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "0.2s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}
    config = ("grpc.service_config", json.dumps(policy))
    one_call(Client(server, config), "fails=2", attempts=3, note="attempt 3 of 3")
    one_call(Client(server, config), "fails=5", 14, attempts=3, note="attempt 3 of 3: that was the last")
    alive = (("grpc.keepalive_time_ms", 200), ("grpc.keepalive_timeout_ms", 1000), ("grpc.http2.max_pings_without_data", 0))
    one_call(Client(server, *alive), "sleep=900", note="the client's PINGs, about every 200 ms", connection={"pings": {"by": "client", "answered": True}, "ended": "by the client"})
    strict = Server(50052, (("grpc.http2.min_recv_ping_interval_without_data_ms", 60000), ("grpc.http2.max_ping_strikes", 1)))
    one_call(Client(strict, *alive), "sleep=8000", 14, its_own=True, note="too many pings: GOAWAY(ENHANCE_YOUR_CALM), and the server's library answers the call",
             connection={"goaway": {"by": "server", "code": "ENHANCE_YOUR_CALM", "text": "too_many_pings"}, "ended": "by the server"})
    strict.server.stop(None).wait()

    def stopped(grace, request, expected, connection, port=50052, **more):
        """A server that is stopped while it has a call."""
        server = Server(port)
        client = Client(server)
        call = client.stubs["GetItem"].future(text(request))
        server.wait_entries(1)
        time.sleep(0.1)
        stop = server.server.stop(grace)
        entry = told(client, outcome(call), expected, **more)
        stop.wait()
        streams.connection(entry.port, server=f"127.0.0.1:{port}", **connection)
        client.close()

    wait_listening_ends(50052)
    stopped(10, "sleep=400", 0, {"goaway": {"by": "server", "code": "NO_ERROR"}, "note": "server.stop with a grace of 10 s"}, note="answered after the server's GOAWAY")
    wait_listening_ends(50052)
    stopped(0, "sleep=5000", 14, {"goaway": {"by": "server", "code": "NO_ERROR"}, "note": "server.stop without grace"}, its_own=True,
            note="the server's library ended its calls at once")
    server.server.stop(None).wait()
    wait_closed(50051, 50052)
    total = len(streams.connections)
    case.truth.connections = {"total": total, "http/2": total}
    case.finish()
    streams.write()


def wait_listening_ends(port):
    from lab import LISTEN, sockets
    wait(f"port {port} to be free", lambda: not any(s[0] == port and s[2] == LISTEN for s in sockets()))


@case("grpc-go",
      f"Go's gRPC: {KINDS}; a server that lets connections grow only so old, one that is stopped gracefully, one that is not",
      "client and server of google.golang.org/grpc in tests/make-captures/grpc-go, on ports 50051 and, for other server settings, 50052", go="grpc-go", alone=True)
def grpc_go(case):
    streams = Streams(case, "127.0.0.1:50051")
    case.capture("tcp port 50051 or tcp port 50052")
    done = case.run([os.path.join(os.path.dirname(os.path.abspath(__file__)), ".venv", "go", "grpc-go")], timeout=60)
    wait_closed(50051, 50052)
    cancel = ("client", "CANCEL")
    # How a call ended: status, verdict, RST_STREAM, and whether the server's status went out.
    ends = {"whole": (200, "ok", None, True), "deadline": (None, "client-gave-up", cancel, False), "cancelled": (None, "client-gave-up", cancel, False),
            "cancelled inside": (200, "client-gave-up-mid-response", cancel, False), "closed": (None, "server-closed-unanswered", None, False)}
    for entry in map(json.loads, done.stdout.splitlines()):
        status, verdict, reset, sent = ends[entry["kind"]]
        # The server has the deadline, too: if its clock was the first, its handler says so.
        if entry["kind"] == "deadline" and entry["status"] == 4:
            verdict, reset = "server-reset-unanswered", ("server", "CANCEL")
        if entry["connection"] not in [connection["connection"] for connection in streams.connections]:
            goaway = {"goaway": {"by": "server", "code": "NO_ERROR"}} if "GOAWAY" in entry["note"] else {}
            streams.connection(entry["connection"], server=entry["server"], **goaway)
        probe = {"expect": {"probe": True}} if "grpc.health" in entry["path"] else {}
        streams.grpc(entry["connection"], entry["stream"], entry["path"], status, entry["status"] if sent else None, (entry["message"] or None) if sent else None,
                     (entry["received"], entry["client_received"]), verdict, reset=reset, client_status=entry["client_status"],
                     client_message=entry["client_message"] or None, server=entry["server"], **({"note": entry["note"]} if entry["note"] else {}), **probe)
    total = len(streams.connections)
    case.truth.connections = {"total": total, "http/2": total}
    case.finish()
    streams.write()
