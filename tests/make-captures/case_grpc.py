"""gRPC: Python's and Go's libraries with themselves, and gRPC-Web and Connect through Envoy."""

import base64
import http.client
import json
import os
import threading
import time

from case_http2 import H2
from lab import LISTEN, case, sockets, wait, wait_closed
from streams import Streams

GRPC = ("grpcio==1.85.3", "grpcio-health-checking==1.85.1")
KINDS = "the four kinds of call, a call beside a stream, gzip, statuses in trailers and trailers-only, a percent-encoded message, an unknown method, a deadline of 500 ms, calls that the client cancels before and inside the answer, health checks, UNAVAILABLE that is tried again, pings that keep a connection alive"


@case("grpc-python",
      f"Python's gRPC: {KINDS}; a message larger than a frame, a deadline that only the server keeps; pings that are too many (GOAWAY with ENHANCE_YOUR_CALM), a server that is stopped gracefully and one that is not",
      "client and server of grpcio on ports 50051 and, for other server settings, 50052", packages=(*GRPC, *H2), alone=True)
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
        streams.grpc(entry.port, entry.stream, entry.path, status, *answered,
                     (entry.received, entry.sent if sent and not its_own else received), verdict, reset=reset, client_status=code, client_message=message,
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

    def get(client, request=TEA, expected=0, **more):
        return told(client, outcome(client.stubs["GetItem"].future(text(request))), expected, **more)

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
    call = client.stubs["GetItem"].future(text("sleep=3000"), timeout=0.5)
    done = outcome(call)
    # The server has the deadline, too (grpc-timeout): which clock was the first, the client's library knows.
    first_was_server = "received from peer" in call.debug_error_string()
    ended = {"its_own": True} if first_was_server else {"status": None, "sent": False, "verdict": "client-gave-up", "reset": ("client", "CANCEL")}
    told(client, done, 4, note="the client's deadline of 500 ms; the server knows it, too (grpc-timeout), and answers at about the same time, most often too late", **ended)
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
    # A client that leaves its deadline to the server. What it had is what h2 has.
    from http2_ends import Client as Http2Client
    waiting = Http2Client(port=50051)
    number = waiting.request("POST", f"/{SERVICE}/GetItem", framed(text("sleep=3002").SerializeToString()), content_type="application/grpc", te="trailers", grpc_timeout="300m")
    stream = waiting.answer(number)
    (entry,) = entries(server)
    assert (stream.status, stream.headers["grpc-status"]) == (200, "4"), stream.headers
    assert (entry.port, entry.stream) == (waiting.port, number)
    streams.grpc(waiting.port, number, entry.path, stream.status, 4, stream.headers["grpc-message"], (1, 0), note="the deadline of 300 ms, of which only the server took care; trailers-only")
    waiting.close()
    streams.connection(waiting.port, ended="by the client")
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

    wait_free(50052)
    stopped(10, "sleep=400", 0, {"goaway": {"by": "server", "code": "NO_ERROR"}, "note": "server.stop with a grace of 10 s"}, note="answered after the server's GOAWAY")
    wait_free(50052)
    stopped(0, "sleep=5000", 14, {"goaway": {"by": "server", "code": "NO_ERROR"}, "note": "server.stop without grace"}, its_own=True,
            note="the server's library ended its calls at once")
    server.server.stop(None).wait()
    wait_closed(50051, 50052)
    total = len(streams.connections)
    case.truth.connections = {"total": total, "http/2": total}
    case.finish()
    streams.write()


def wait_free(port):
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


def framed(data, flags=0):
    return bytes([flags]) + len(data).to_bytes(4, "big") + data


def unframed(data):
    """(flags, bytes) of each message of gRPC, gRPC-Web and Connect's streams."""
    found = []
    while data:
        size = int.from_bytes(data[1:5], "big")
        assert len(data) >= 5 + size, data
        found.append((data[0], data[5:5 + size]))
        data = data[5 + size:]
    return found


# Errors of Connect, by gRPC's number.
CONNECT_CODES = {None: 0, "not_found": 5, "permission_denied": 7}


@case("grpc-web-envoy",
      "gRPC-Web and the Connect protocol become gRPC in Envoy, both sides of it captured, its log beside: binary and base64, statuses in the body's last frame and in the headers alone, a stream of answers; Connect's unary calls with HTTP's own statuses, and its streams; plain gRPC through the same Envoy with a deadline and with the route's timeout",
      "Python's http.client (HTTP/1.1), h2 and grpcio → Envoy on port 8080 with the filters grpc_web and connect_grpc_bridge → server of grpcio on port 50051",
      packages=(*GRPC, *H2), alone=True)
def grpc_web_envoy(case):
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    os.environ["GRPC_VERBOSITY"] = "NONE"
    from envoy import Envoy, cluster, deliver_logs, route
    proxy_route = route("catalog", "5s")
    slow_route = route("catalog", "0.5s", name="slow")
    slow_route["match"]["headers"] = [{"name": "x-slow", "present_match": True}]
    # That the server does not get to know a deadline: its clock would race with the client's.
    proxy_route["request_headers_to_remove"] = ["grpc-timeout"]
    proxy = Envoy(case, "gateway", "127.0.0.1", 8080, [slow_route, proxy_route], [cluster("catalog", "127.0.0.1", 50051, http2=True)], edge=True,
                  filters=(("envoy.filters.http.grpc_web", "grpc_web.v3.GrpcWeb"), ("envoy.filters.http.connect_grpc_bridge", "connect_grpc_bridge.v3.FilterConfig")),
                  more_keys={"grpc_status": "%GRPC_STATUS_NUMBER%", "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "upstream_protocol": "%UPSTREAM_PROTOCOL%",
                             "content_type": "%REQ(CONTENT-TYPE)%"})
    # After Envoy: forking is over before grpcio has threads.
    import grpc
    from grpc_python import SERVICE, Client, Server, outcome, text
    from http2_ends import Client as Http2Client
    server = Server(50051)
    streams = Streams(case, "127.0.0.1:8080")
    case.capture("tcp port 8080 or tcp port 50051")
    lines_taken = entries_taken = 0

    def told(port, stream, method, status, grpc_status, grpc_message, messages, flags, upstream=None, verdict="ok", reset=None, protocol=None, **more):
        """Both hops of a call. `upstream`: what differs there: verdict, status, reset, sent."""
        nonlocal lines_taken, entries_taken
        lines_taken += 1
        line = proxy.wait_logged(lines_taken)[-1]
        assert line["response_flags"] == flags and line["path"].endswith(method), line
        server.wait_entries(entries_taken + 1)
        entry = server.log.entries[entries_taken]
        entries_taken += 1
        entry.over.wait(10)
        assert entry.request_id == line["request_id"]
        path = f"/{SERVICE}/{method}"
        kind = {"protocol": protocol} if protocol else {}
        streams.grpc(port, stream, path, status, grpc_status, grpc_message, messages, verdict, reset=reset, request_id=entry.request_id,
                     expect={"envoy_flags": flags, "envoy_code": line["response_code"]}, **kind, **more)
        upstream = {"status": 200, "verdict": "ok", "sent": True, "reset": None, **(upstream or {})}
        sent = upstream.pop("sent")
        streams.grpc(entry.port, entry.stream, path, upstream["status"], entry.status if sent else None, entry.message if sent else None,
                     (entry.received, entry.sent if sent else 0), upstream["verdict"], reset=upstream["reset"], server="127.0.0.1:50051", request_id=entry.request_id)
        if entry.port not in used:
            used.append(entry.port)

    used = []
    web = http.client.HTTPConnection("127.0.0.1", 8080, timeout=20)
    web.connect()
    web_port = web.sock.getsockname()[1]
    streams.connection(web_port, ended="fin by the client", note="HTTP/1.1: gRPC-Web and Connect")

    def ask(method, body, kind, **headers):
        fields = {"Content-Type": kind, "User-Agent": "make-captures/1", "Accept": "*/*", **{key.replace("_", "-"): value for key, value in headers.items()}}
        web.request("POST", f"/{SERVICE}/{method}", body, fields)
        answer = web.getresponse()
        data = answer.read()
        return answer, data

    def message(asked):
        return text(asked).SerializeToString()

    def web_told(method, asked, status, count, flags="-", base64_too=False, in_headers=False, upstream=None, http_status=200, note=None, **headers):
        """gRPC-Web over HTTP/1.1."""
        body = framed(message(asked))
        kind = "application/grpc-web-text+proto" if base64_too else "application/grpc-web+proto"
        answer, data = ask(method, base64.b64encode(body) if base64_too else body, kind, X_Grpc_Web="1", Accept=kind, **headers)
        if base64_too:
            data = b"".join(base64.b64decode(part + b"=" * (-len(part) % 4)) for part in data.split(b"=") if part)
        frames = unframed(data)
        if in_headers:
            said = {key.lower(): value for key, value in answer.getheaders()}
        else:
            flag, last = frames.pop()
            assert flag == 0x80, flag
            said = dict(line.split(":", 1) for line in last.decode().strip().split("\r\n"))
            said = {key.strip(): value.strip() for key, value in said.items()}
        assert answer.status == http_status and int(said["grpc-status"]) == status and len(frames) == count, (answer.status, said, frames)
        told(web_port, None, method, answer.status, status, said.get("grpc-message") or None, (1, count), flags, upstream=upstream,
             protocol="grpc-web-text" if base64_too else "grpc-web", note=note or ("the status is in the headers" if in_headers else "the status is in the body's last frame"))

    web_told("GetItem", "item=tea", 0, 1)
    web_told("ListItems", "count=3&gap=40", 0, 3)
    web_told("GetItem", "status=NOT_FOUND&message=no such item", 5, 0, in_headers=True)
    web_told("ListItems", "count=2&status=RESOURCE_EXHAUSTED&message=that is all", 8, 2)
    web_told("GetItem", "item=tea", 0, 1, base64_too=True)
    # grpcio's server does not tell with which code a stream was reset; in http2-envoy the origin says what Envoy's is.
    gone = {"status": None, "verdict": "client-gave-up", "sent": False, "reset": ("client", "INTERNAL_ERROR")}
    web_told("GetItem", "sleep=3000", 14, 0, flags="UT", in_headers=True, http_status=504, upstream=gone, note="the route's timeout of 500 ms: Envoy's own answer", X_Slow="1")

    def connect_told(asked, http_status, **more):
        """A unary call of the Connect protocol: the message is the body, an error is JSON with a status of HTTP's."""
        answer, data = ask("GetItem", message(asked), "application/proto", Connect_Protocol_Version="1", **more)
        assert answer.status == http_status, (answer.status, data)
        error = json.loads(data) if http_status != 200 else {}
        told(web_port, None, "GetItem", answer.status, CONNECT_CODES[error.get("code")], error.get("message"), (1, 0 if error else 1), "-", protocol="connect",
             note=f"Connect, unary{': the body says ' + error['code'] if error else ''}")

    def connect_stream_told(asked, count):
        """A stream of the Connect protocol: its last frame is JSON, with the error if there is one."""
        answer, data = ask("ListItems", framed(message(asked)), "application/connect+proto", Connect_Protocol_Version="1")
        frames = unframed(data)
        assert answer.status == 200 and [flags for flags, _ in frames] == [0] * count + [2], frames
        last = frames[-1][1].decode()
        error = json.loads(last).get("error", {})
        told(web_port, None, "ListItems", 200, CONNECT_CODES[error.get("code")], error.get("message"), (1, count), "-", protocol="connect",
             note="Connect, a stream: its last frame is JSON: " + last)

    connect_told("item=tea", 200)
    connect_told("status=NOT_FOUND&message=no such item", 404)
    connect_stream_told("count=3&gap=40", 3)
    connect_stream_told("count=1&status=PERMISSION_DENIED&message=not for you", 1)
    web.close()

    # gRPC-Web over HTTP/2.
    two = Http2Client(port=8080)
    number = two.request("POST", f"/{SERVICE}/GetItem", framed(message("item=rice")), content_type="application/grpc-web+proto", x_grpc_web="1")
    stream = two.answer(number)
    frames = unframed(stream.data)
    assert stream.status == 200 and [flags for flags, _ in frames] == [0, 0x80]
    told(two.port, number, "GetItem", 200, 0, None, (1, 1), "-", protocol="grpc-web", note="the status is in the body's last frame")
    two.close()
    streams.connection(two.port, ended="fin by the client", note="gRPC-Web over HTTP/2")

    # gRPC as it is.
    class Through:
        log, port = server.log, 8080
    client = Client(Through)
    done = outcome(client.stubs["GetItem"].future(text("item=tea")))
    assert done == (0, None, 1)
    line = proxy.wait_logged(lines_taken + 1)[-1]
    port = int(line["downstream_remote_address"].rsplit(":", 1)[1])
    told(port, 1, "GetItem", 200, 0, None, (1, 1), "-")
    code, words, _ = outcome(client.stubs["GetItem"].future(text("sleep=3001"), metadata=(("x-slow", "1"),)))
    assert code == 14, (code, words)
    told(port, 3, "GetItem", 200, 14, words, (1, 0), "UT", upstream=gone, client_status=14, client_message=words, note="the route's timeout of 500 ms: Envoy's own answer")
    code, words, _ = outcome(client.stubs["GetItem"].future(text("sleep=3002"), timeout=0.3))
    assert code == 4
    told(port, 5, "GetItem", None, None, None, (1, 0), "DR", upstream=gone, verdict="client-gave-up", reset=("client", "CANCEL"), client_status=4,
         client_message=words, note="the client's deadline of 300 ms; Envoy's route takes it from the server")
    client.close()
    streams.connection(port, note="gRPC by grpcio: its port is from Envoy's log")
    server.server.stop(None).wait()
    for port in used:
        streams.connection(port, server="127.0.0.1:50051", note="Envoy's")
    wait_closed(8080, 50051)
    total = len(streams.connections)
    case.truth.connections = {"total": total, "http/2": total - 1, "http/1": 1}
    case.finish()
    deliver_logs(case, proxy)
    streams.write()
