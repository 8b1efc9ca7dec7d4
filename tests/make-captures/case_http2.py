"""HTTP/2 in the clear: nghttp and nginx, upgrades, resets of every kind, and Envoy between two hops of it."""

import json
import os
import re
import subprocess

from lab import case, wait, wait_closed, wait_listening
from origin import Origin
from streams import ERRORS, Streams

H2 = ("h2==4.4.1",)


def logged(path, count):
    def lines():
        try:
            with open(path) as file:
                found = [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return None
        return found if len(found) >= count else None
    return wait(f"{count} lines in {path}", lines)


class Logged:
    """The access log of nginx or nghttpx, of which each call takes the lines that are new."""

    def __init__(self, path):
        self.path, self.taken = path, 0

    def take(self, count):
        lines = logged(self.path, self.taken + count)[self.taken:]
        self.taken += len(lines)
        assert len(lines) == count, lines
        return lines


def nghttp(*arguments, ok=(0,)):
    """Streams as `nghttp -v` prints them: number → method, path, status, reset, pushed."""
    done = subprocess.run(["nghttp", "-v", "-n", "-t", "20", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode in ok, (arguments, done.returncode, done.stdout, done.stderr)
    streams, sending, kind = {}, None, None
    for line in done.stdout.splitlines():
        if frame := re.match(r"\[ *[\d.]+\] (send|recv) (\w+) frame <.*stream_id=(\d+)", line):
            sending, kind, number = frame[1] == "send", frame[2], int(frame[3])
            if kind == "RST_STREAM":
                streams[number]["reset"] = ["client" if sending else "server", None]
        elif answer := re.match(r"\[ *[\d.]+\] recv \(stream_id=(\d+)\) :status: (\d+)", line):
            streams.setdefault(int(answer[1]), {})["status"] = int(answer[2])
        elif kind == "RST_STREAM" and (code := re.search(r"error_code=(\w+)", line)):
            streams[number]["reset"][1] = code[1]
        elif kind == "HEADERS" and sending and (field := re.match(r"\s+:(method|path): (.*)", line)):
            streams.setdefault(number, {})[field[1]] = field[2]
    return streams


def curl_ports(*arguments, ok=(0,)):
    """What curl knows of each transfer: (its port, status)."""
    done = subprocess.run(["curl", "-sS", "-w", "%{local_port} %{http_code} %{http_version}\n", "-A", "curl/8", *arguments], capture_output=True, text=True)
    assert done.returncode in ok, (arguments, done.returncode, done.stderr)
    return [(int(port), int(status), version) for port, status, version in (line.split() for line in done.stdout.splitlines())]


def start_nghttpx(case, port):
    log = os.path.join(case.work, "nghttpx.jsonl")
    form = '{"port": $remote_port, "method": "$method", "path": "$path", "status": $status}'
    case.processes.start(["nghttpx", "--conf=/dev/null", "--workers=1", "--single-process", f"--frontend=127.0.0.1,{port};no-tls",
                          "--backend=127.0.0.1,3000", f"--accesslog-file={log}", f"--accesslog-format={form}",
                          f"--errorlog-file={case.work}/nghttpx.error"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_listening(port)
    return log


NGINX_LOG = ('{"port": $remote_port, "method": "$request_method", "path": "$request_uri", "status": $status, "protocol": "$server_protocol", '
             '"serial": $connection_requests, "sent": $body_bytes_sent}')


@case("http2-nghttp",
      "nghttp's and curl's HTTP/2 with nginx: PRIORITY frames, answers of several sizes on streams that overlap, HEAD, 404, 304, request trailers (which nginx 1.22 ends with GOAWAY), padded frames, a header block that goes on in CONTINUATION frames",
      "nghttp and `curl --http2-prior-knowledge` → nginx on port 8080, and for request trailers nghttpx on port 8081 (what they ask their own origin is not captured)")
def http2_nghttp(case):
    root = os.path.join(case.work, "html")
    os.mkdir(root)
    os.chmod(case.work, 0o755)
    for name, size in (("small.txt", 13), ("medium.txt", 2600), ("large.txt", 17400)):
        with open(os.path.join(root, name), "w") as page:
            page.write(("tea and rice\n" * 1400)[:size])
    log = os.path.join(case.work, "access.jsonl")
    with open(os.path.join(case.work, "nginx.conf"), "w") as config:
        config.write(f"""daemon off; master_process off; worker_processes 1; pid {case.work}/nginx.pid; error_log {case.work}/error.log;
            events {{ worker_connections 64; }}
            http {{ log_format truth '{NGINX_LOG}'; access_log {log} truth; server_tokens off; default_type text/plain; if_modified_since before;
              large_client_header_buffers 8 32k;
              client_body_temp_path {case.work}/b; proxy_temp_path {case.work}/p; fastcgi_temp_path {case.work}/f; uwsgi_temp_path {case.work}/u; scgi_temp_path {case.work}/s;
              server {{ listen 127.0.0.1:8080 http2; root {root}; location /items {{ proxy_pass http://127.0.0.1:3000; }} }} }}""")
    Origin(port=3000)
    case.processes.start(["nginx", "-c", os.path.join(case.work, "nginx.conf"), "-p", case.work],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    nghttpx_log = start_nghttpx(case, 8081)
    wait_listening(8080)
    base, lines = "http://127.0.0.1:8080", Logged(log)
    streams = Streams(case, "127.0.0.1:8080")
    case.capture("tcp port 8080 or tcp port 8081")

    def told(note, *arguments, **more):
        """One run of nghttp is one connection: its streams from nghttp itself, its port from nginx."""
        found = nghttp(*arguments)
        wrote = lines.take(len(found))
        (port,) = {line["port"] for line in wrote}
        assert sorted((s["method"], s["path"], s["status"]) for s in found.values()) == sorted((l["method"], l["path"], l["status"]) for l in wrote), (found, wrote)
        streams.connection(port, ended="fin by the client", note=note)
        for number in sorted(found):
            stream = found[number]
            streams.add(port, number, stream["method"], stream["path"], stream["status"], "ok", reset=stream.get("reset"), note=note, **more)

    told("several streams at once, PRIORITY", *(base + path for path in ("/small.txt", "/large.txt", "/medium.txt", "/missing", "/items?delay=150", "/items/1")))
    told("HEAD", "-H", ":method: HEAD", base + "/medium.txt")
    body = os.path.join(case.work, "body")
    with open(body, "w") as file:
        file.write("tea and rice\n" * 100)
    # nginx 1.22 takes request trailers for a second request on the stream: GOAWAY, and no answer.
    (number, stream), = nghttp("-d", body, "--trailer", "x-checksum: 5eb63bbb", base + "/items?trailers").items()
    (wrote,) = lines.take(1)
    assert "status" not in stream
    streams.connection(wrote["port"], goaway={"by": "server", "code": "PROTOCOL_ERROR", "last_stream": number}, note="trailers of a request")
    streams.add(wrote["port"], number, "POST", "/items?trailers", None, "server-closed-unanswered", note="request trailers, GOAWAY(PROTOCOL_ERROR) and FIN by the server")
    # nghttpx takes them.
    (number, stream), = nghttp("-d", body, "--trailer", "x-checksum: 5eb63bbb", "http://127.0.0.1:8081/items?trailers").items()
    (line,) = logged(nghttpx_log, 1)
    assert stream["status"] == line["status"] == 200
    streams.connection(line["port"], server="127.0.0.1:8081", ended="fin by the client", note="trailers of a request")
    streams.add(line["port"], number, "POST", "/items?trailers", 200, "ok", server="127.0.0.1:8081", note="request trailers")
    told("padded HEADERS and DATA", "--padding=64", "-d", body, base + "/items?padded")
    told("padded HEADERS", "--padding=200", base + "/small.txt", base + "/medium.txt")
    told("HEADERS and CONTINUATION", "--continuation", base + "/small.txt")
    told("no PRIORITY", "--no-dep", base + "/items/2", base + "/small.txt")

    def by_curl(path, status, *arguments, method="GET"):
        ((port, seen, version),) = curl_ports("--http2-prior-knowledge", "-o", "/dev/null", *arguments, base + path)
        assert (seen, version) == (status, "2"), (path, seen, version)
        (wrote,) = lines.take(1)
        assert (wrote["port"], wrote["status"]) == (port, status)
        streams.connection(port, ended="fin by the client", note="curl")
        # The first stream of a client is 1 (curl opens no other).
        streams.add(port, 1, method, path, status, "ok")

    by_curl("/small.txt", 200)
    by_curl("/items", 200, "-d", "item=tea", method="POST")
    by_curl("/small.txt", 304, "-H", "If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT")
    by_curl("/missing", 404, "-I", method="HEAD")
    wait_closed(8080)
    case.truth.connections = {"total": len(streams.connections), "http/2": len(streams.connections)}
    case.finish()
    streams.write()


@case("http2-upgrade",
      "Upgrades from HTTP/1.1 to h2c: 101 and the answer on stream 1, and more streams behind it; by GET and by OPTIONS; a server that does not go along and answers with HTTP/1.1",
      "`nghttp -u` and `curl --http2` → nghttpx on port 8080 (its own origin's port is not captured), and nginx without HTTP/2 on port 8081")
def http2_upgrade(case):
    os.chmod(case.work, 0o755)
    Origin(port=3000)
    log = start_nghttpx(case, 8080)
    with open(os.path.join(case.work, "nginx.conf"), "w") as config:
        config.write(f"""daemon off; master_process off; worker_processes 1; pid {case.work}/nginx.pid; error_log {case.work}/error.log;
            events {{ worker_connections 64; }}
            http {{ access_log off; server_tokens off;
              client_body_temp_path {case.work}/b; proxy_temp_path {case.work}/p; fastcgi_temp_path {case.work}/f; uwsgi_temp_path {case.work}/u; scgi_temp_path {case.work}/s;
              server {{ listen 127.0.0.1:8081; location / {{ return 200 "items\\n"; }} }} }}""")
    case.processes.start(["nginx", "-c", os.path.join(case.work, "nginx.conf"), "-p", case.work],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_listening(8081)
    base, lines = "http://127.0.0.1:8080", Logged(log)
    streams = Streams(case, "127.0.0.1:8080")
    case.capture("tcp port 8080 or tcp port 8081")
    upgraded = "the request is HTTP/1.1, the answer stream 1 of HTTP/2"

    def told(upgrade_method, *paths, arguments=()):
        found = nghttp("-u", *arguments, *(base + path for path in paths))
        wrote = lines.take(len(found))
        (port,) = {line["port"] for line in wrote}
        streams.connection(port, ended="fin by the client", note="upgraded by nghttp")
        first = found.pop(1)
        (asked,) = [line["path"] for line in wrote if line["method"] == upgrade_method and line["path"] not in [s["path"] for s in found.values()]] if upgrade_method == "GET" else [
            line["path"] for line in wrote if line["method"] == upgrade_method]
        streams.add(port, 1, upgrade_method, asked, first["status"], note=upgraded)
        for number in sorted(found):
            stream = found[number]
            streams.add(port, number, stream["method"], stream["path"], stream["status"])

    told("GET", "/items/1")
    told("GET", "/items/2", "/items?delay=100", "/missing")
    body = os.path.join(case.work, "body")
    with open(body, "w") as file:
        file.write("item=tea\n")
    # nghttp leaves when its POST is over, whether OPTIONS was answered or not: hence a slow one.
    told("OPTIONS", "/items?delay=150", arguments=("-d", body))
    # Both transfers over one connection.
    found = curl_ports("--http2", "-o", "/dev/null", base + "/items/3", "-o", "/dev/null", base + "/missing?curl")
    wrote = lines.take(2)
    (port,) = {port for port, _, _ in found}
    assert [(status, version) for _, status, version in found] == [(200, "2"), (404, "2")], found
    assert [line["port"] for line in wrote] == [port, port]
    streams.connection(port, ended="fin by the client", note="upgraded by curl")
    streams.add(port, 1, "GET", "/items/3", 200, note=upgraded)
    streams.add(port, 3, "GET", "/missing?curl", 404)
    ((port, status, version),) = curl_ports("--http2", "-o", "/dev/null", "http://127.0.0.1:8081/items")
    assert (status, version) == (200, "1.1")
    streams.connection(port, server="127.0.0.1:8081", ended="fin by the client", note="the server does not upgrade")
    streams.add(port, None, "GET", "/items", 200, server="127.0.0.1:8081", note="HTTP/1.1 all the way")
    for row in streams.rows:
        # What the request asked HTTP/1.1 for came before its answer.
        switched = {"interim": [101]} if row.get("note") == upgraded else {}
        case.truth.add(row["method"], row["path"], "ok", row["status"], server=row["server"], **switched)
    wait_closed(8080, 8081)
    case.truth.connections = {"total": len(streams.connections)}
    case.finish()
    streams.write()


def behaviours():
    """What the server of `http2-resets` does with a stream, by the first part of its path."""
    import time

    import h2.errors
    codes = h2.errors.ErrorCodes

    def stall(end, stream):
        end.wait("the client to go", lambda: stream.reset is not None or end.ended)

    def stall_in_body(end, stream):
        end.whole_request(stream)
        end.headers(stream.number, {":status": "200", "content-length": "4000"})
        end.data(stream.number, b"tea and rice\n" * 8)
        stall(end, stream)

    def reset_before(end, stream):
        end.whole_request(stream)
        end.reset_stream(stream.number, codes.INTERNAL_ERROR)

    def reset_inside(end, stream):
        end.whole_request(stream)
        end.respond(stream, body=b"tea and rice\n" * 8, trailers=None, end=False, content_length="4000")
        end.reset_stream(stream.number, codes.INTERNAL_ERROR)

    def refused(end, stream):
        end.whole_request(stream)
        if stream.headers.get("x-attempt"):
            end.respond(stream)
        else:
            end.reset_stream(stream.number, codes.REFUSED_STREAM)

    def hints(end, stream):
        end.whole_request(stream)
        end.headers(stream.number, {":status": "103", "link": "</style.css>; rel=preload"})
        time.sleep(0.06)
        end.respond(stream)

    def trailers(end, stream):
        end.whole_request(stream)
        end.respond(stream, trailers={"x-checksum": "5eb63bbb"})

    def push(end, stream):
        end.whole_request(stream)
        number = 2
        request = {":method": "GET", ":scheme": "http", ":path": "/style.css", ":authority": stream.headers[":authority"]}
        with end.changed:
            end.h2.push_stream(stream.number, number, list(request.items()))
            end.flush()
        end.respond(stream, body=b"<h1>catalog</h1>\n")
        end.headers(number, {":status": "200", "content-length": "7"})
        end.data(number, b"h1 { }\n", end=True)

    def early(end, stream):
        """The whole answer before the whole request, and RST_STREAM(NO_ERROR): RFC 9113 §8.1."""
        end.respond(stream, status=413, body=b"too large\n")
        end.reset_stream(stream.number, codes.NO_ERROR)

    def chat(end, stream):
        """An extended CONNECT (RFC 8441): what comes is sent back."""
        end.headers(stream.number, {":status": "200"})
        end.wait("a message", lambda: len(stream.data) >= 11)
        end.data(stream.number, b"\x81\x05hello")
        end.whole_request(stream)
        end.data(stream.number, b"", end=True)

    def large(end, stream):
        end.whole_request(stream)
        end.respond(stream, body=(b"tea and rice\n" * 200)[:2500])

    def slow(end, stream):
        end.whole_request(stream)
        time.sleep(0.2)
        end.respond(stream)

    def goaway_below(end, stream):
        """One stream is answered, the later one is not even begun, as GOAWAY says; then FIN."""
        end.wait("the other stream", lambda: any(number > stream.number for number in end.streams))
        if stream.number == 1:
            end.say_goaway(codes.NO_ERROR, last=1)
            end.respond(stream)
            end.fin()

    def calm(end, stream):
        end.whole_request(stream)
        end.say_goaway(codes.ENHANCE_YOUR_CALM, last=stream.number, text=b"too many of you")
        end.fin()

    def rst(end, stream):
        end.wait("the other stream", lambda: len(end.streams) >= 2)
        if stream.number == 1:
            end.headers(stream.number, {":status": "200", "content-length": "4000"})
            end.data(stream.number, b"tea and rice\n")
            time.sleep(0.05)
            end.rst()

    def connect(end, stream):
        """A plain CONNECT: a tunnel."""
        end.headers(stream.number, {":status": "200"})
        end.wait("bytes", lambda: len(stream.data) >= 4)
        end.data(stream.number, b"pong")
        end.whole_request(stream)
        end.data(stream.number, b"", end=True)

    return {"stall": stall, "stall-in-body": stall_in_body, "reset-before": reset_before, "reset-inside": reset_inside, "refused": refused, "hints": hints,
            "trailers": trailers, "push": push, "early": early, "chat": chat, "large": large, "slow": slow, "goaway": goaway_below, "calm": calm, "rst": rst,
            "": connect}


@case("http2-resets",
      "How streams of HTTP/2 end: RST_STREAM by client and server, before and inside the answer, REFUSED_STREAM and its retry, GOAWAY below an open stream, GOAWAY(ENHANCE_YOUR_CALM), FIN and RST with open streams, a stream that nobody ends. And what may look like trouble: 103, trailers, a pushed stream, an extended and a plain CONNECT, a full answer before the request is there, a window that stays shut for 300 ms, one stream at a time, a PING that nobody answers",
      "client and server on plain sockets, both on the Python library h2, on port 8080", packages=H2, alone=True)
def http2_resets(case):
    import time

    from http2_ends import Client, Server
    from h2.settings import SettingCodes
    known = behaviours()
    server = Server(8080, known)
    streams = Streams(case, "127.0.0.1:8080")
    case.capture("tcp port 8080")

    def client(serving=None, **options):
        server.next.append(serving or {})
        made = Client(port=8080, **options)
        made.wait("the server's SETTINGS", lambda: made.their_settings)
        return made

    def good(connection, path="/items", method="GET", **more):
        """A whole exchange."""
        number = connection.request(method, path)
        stream = connection.answer(number)
        assert stream.ended and stream.status == 200, (path, stream.status, stream.reset)
        streams.add(connection.port, number, method, path, 200, "ok", **more)
        return stream

    # One connection, stream by stream: what happens to a stream is no harm to its connection.
    one = client()
    good(one)
    number = one.request("GET", "/stall?cancel")
    time.sleep(0.5)
    one.reset_stream(number, 8)
    streams.add(one.port, number, "GET", "/stall?cancel", None, "client-gave-up", reset=("client", 8), note="500 ms after the request")
    good(one, "/items?after")
    number = one.request("GET", "/stall-in-body?cancel")
    one.begun(number)
    time.sleep(0.2)
    one.reset_stream(number, 8)
    streams.add(one.port, number, "GET", "/stall-in-body?cancel", 200, "client-gave-up-mid-response", reset=("client", 8))
    for path, status, verdict in (("/reset-before", None, "server-reset-unanswered"), ("/reset-inside", 200, "server-truncated-response")):
        number = one.request("GET", path)
        stream = one.answer(number)
        assert (stream.reset, stream.status) == (2, status), (path, stream.reset, stream.status)
        streams.add(one.port, number, "GET", path, status, verdict, reset=("server", 2))
    number = one.request("POST", "/refused", b"item=tea")
    assert one.answer(number).reset == 7
    streams.add(one.port, number, "POST", "/refused", None, "refused", reset=("server", 7), note="not begun: it may be sent again")
    number = one.request("POST", "/refused", b"item=tea", x_attempt="2")
    assert one.answer(number).status == 200
    streams.add(one.port, number, "POST", "/refused", 200, "ok", note="the same again")
    stream = good(one, "/hints", interim=[103], expect={"interim": [103]})
    assert stream.interim == [103]
    stream = good(one, "/trailers", trailers={"x-checksum": "5eb63bbb"})
    assert stream.trailers == {"x-checksum": "5eb63bbb"}
    number = one.request("POST", "/early", b"tea and rice\n" * 20, end=False)
    stream = one.answer(number)
    one.wait("RST_STREAM", lambda: stream.reset is not None)
    assert (stream.status, stream.reset) == (413, 0)
    streams.add(one.port, number, "POST", "/early", 413, "ok", reset=("server", 0), note="the whole answer before the request's end, then RST_STREAM(NO_ERROR)")
    # A request that its own client cuts off.
    number = one.request("POST", "/items?cut", b"tea and ", end=False)
    time.sleep(0.1)
    one.reset_stream(number, 8)
    streams.add(one.port, number, "POST", "/items?cut", None, "client-aborted-request", reset=("client", 8), note="inside the request's body")
    one.close()
    streams.connection(one.port, goaway={"by": "client", "code": "NO_ERROR", "last_stream": 0}, ended="fin by the client")

    pushed = client()
    good(pushed, "/push")
    pushed.wait("the pushed stream", lambda: pushed.streams[2] and pushed.streams[2].ended)
    assert pushed.streams[2].pushed_by == 1 and pushed.streams[2].status == 200
    streams.add(pushed.port, 2, "GET", "/style.css", 200, None, pushed_by=1, note="PUSH_PROMISE on stream 1: the server's own idea")
    pushed.close()
    streams.connection(pushed.port, goaway={"by": "client", "code": "NO_ERROR", "last_stream": 0}, ended="fin by the client")

    tunnels = client({"settings": {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}})
    number = tunnels.request("CONNECT", "/chat", end=False, protocol="websocket", sec_websocket_version="13", origin="http://127.0.0.1:8080")
    tunnels.wait("200", lambda: tunnels.streams[number].status == 200)
    tunnels.data(number, b"\x81\x85\x01\x02\x03\x04\x69\x67\x6f\x68\x6e")
    tunnels.begun(number, 7)
    tunnels.data(number, b"", end=True)
    assert tunnels.answer(number).ended
    streams.add(tunnels.port, number, "CONNECT", "/chat", 200, "upgraded", protocol="websocket", note="extended CONNECT (RFC 8441)")
    number = tunnels.request("CONNECT", "10.244.0.9:7", end=False)
    tunnels.wait("200", lambda: tunnels.streams[number].status == 200)
    tunnels.data(number, b"ping")
    tunnels.begun(number, 4)
    tunnels.data(number, b"", end=True)
    assert tunnels.answer(number).ended
    streams.add(tunnels.port, number, "CONNECT", "10.244.0.9:7", 200, "upgraded", note="CONNECT: the path is the :authority, there is no :path")
    tunnels.close()
    streams.connection(tunnels.port, settings={"server": {"ENABLE_CONNECT_PROTOCOL": 1}}, goaway={"by": "client", "code": "NO_ERROR", "last_stream": 0}, ended="fin by the client")

    # The window of 1000 bytes is opened again after 300 ms.
    narrow = client(settings={SettingCodes.INITIAL_WINDOW_SIZE: 1000}, hold_window=True)
    number = narrow.request("GET", "/large")
    narrow.begun(number, 1000)
    time.sleep(0.3)
    narrow.widen(number, 3000)
    stream = narrow.answer(number)
    assert stream.ended and len(stream.data) == 2500
    streams.add(narrow.port, number, "GET", "/large", 200, "ok", note="the client's window was shut for 300 ms after 1000 bytes")
    narrow.close()
    streams.connection(narrow.port, settings={"client": {"INITIAL_WINDOW_SIZE": 1000}}, goaway={"by": "client", "code": "NO_ERROR", "last_stream": 0}, ended="fin by the client")

    # Two requests at once for a server that takes one at a time: the second one waits in the client.
    single = client({"settings": {SettingCodes.MAX_CONCURRENT_STREAMS: 1}})
    good(single, "/slow?1", note="the only one at a time")
    good(single, "/slow?2", note="wanted at the same time as the one before, sent when that was over")
    single.close()
    streams.connection(single.port, settings={"server": {"MAX_CONCURRENT_STREAMS": 1}}, goaway={"by": "client", "code": "NO_ERROR", "last_stream": 0}, ended="fin by the client")

    below = client()
    first, second = below.request("GET", "/goaway?1"), below.request("GET", "/goaway?2")
    assert below.answer(first).status == 200 and below.answer(second).status is None
    below.wait("FIN", lambda: below.ended == "fin")
    assert below.goaway == (0, 1), below.goaway
    below.fin()
    streams.add(below.port, first, "GET", "/goaway?1", 200, "ok", note="answered after GOAWAY")
    streams.add(below.port, second, "GET", "/goaway?2", None, "refused", note="above GOAWAY's last stream: not begun, it may be sent again")
    streams.connection(below.port, goaway={"by": "server", "code": "NO_ERROR", "last_stream": 1}, ended="fin by the server")

    calm = client()
    good(calm)
    number = calm.request("GET", "/calm")
    assert calm.answer(number).status is None
    calm.wait("FIN", lambda: calm.ended == "fin")
    assert calm.goaway == (11, number)
    calm.fin()
    streams.add(calm.port, number, "GET", "/calm", None, "server-closed-unanswered", note="GOAWAY(ENHANCE_YOUR_CALM) with this stream as the last, then FIN")
    streams.connection(calm.port, goaway={"by": "server", "code": "ENHANCE_YOUR_CALM", "last_stream": number, "text": "too many of you"}, ended="fin by the server")

    leaving = client()
    number = leaving.request("GET", "/stall?leave")
    wait("the server to have it", lambda: server.seen("/stall?leave"))
    time.sleep(0.3)
    leaving.fin()
    streams.add(leaving.port, number, "GET", "/stall?leave", None, "client-gave-up", note="the client's FIN 300 ms after the request, no RST_STREAM")
    streams.connection(leaving.port, ended="fin by the client")

    broken = client()
    first = broken.request("GET", "/rst?1")
    second = broken.request("GET", "/rst?2")
    broken.wait("RST", lambda: broken.ended)
    assert broken.ended == "rst" and broken.streams[first].status == 200
    broken.socket.close()
    streams.add(broken.port, first, "GET", "/rst?1", 200, "server-truncated-response", note="TCP RST")
    streams.add(broken.port, second, "GET", "/rst?2", None, "server-reset-unanswered", note="TCP RST")
    streams.connection(broken.port, ended="rst by the server")

    # The client's keep-alive: no answer to its PING within 300 ms, so it leaves.
    unheard = client({"answer_pings": False})
    good(unheard)
    number = unheard.request("GET", "/stall?ping")
    wait("the server to have it", lambda: server.seen("/stall?ping"))
    unheard.ping()
    time.sleep(0.3)
    assert unheard.pongs == 0
    unheard.say_goaway(0, 0, b"ping timeout")
    unheard.fin()
    streams.add(unheard.port, number, "GET", "/stall?ping", None, "client-gave-up", note="GOAWAY and FIN 300 ms after a PING that was not answered")
    streams.connection(unheard.port, pings={"by": "client", "sent": 1, "answered": 0}, goaway={"by": "client", "code": "NO_ERROR", "last_stream": 0, "text": "ping timeout"}, ended="fin by the client")

    wait_closed(8080)
    open_end = client()
    good(open_end)
    open_end.ping()
    open_end.wait("the answer to PING", lambda: open_end.pongs)
    number = open_end.request("GET", "/stall?forever")
    wait("the server to have it", lambda: server.seen("/stall?forever"))
    streams.add(open_end.port, number, "GET", "/stall?forever", None, "unanswered", expect={"certain": False}, note="the capture ends")
    second = open_end.request("GET", "/stall-in-body?forever")
    open_end.begun(second, 104)
    time.sleep(0.1)
    streams.add(open_end.port, second, "GET", "/stall-in-body?forever", 200, "unanswered", expect={"certain": False}, note="the capture ends inside the answer")
    streams.connection(open_end.port, pings={"by": "client", "sent": 1, "answered": 1}, ended=None, note="open when the capture ends")
    for row in streams.rows:
        entry = [e for e in server.log if (e["connection"], e["stream"]) == (row["connection"], row["stream"])]
        assert row["stream"] == 2 or entry and entry[0]["method"] == row["method"], row
    case.truth.connections = {"total": len(streams.connections), "http/2": len(streams.connections)}
    case.finish()
    streams.write()
    open_end.fin()


@case("http2-joined",
      "A capture that begins in the middle of HTTP/2 connections: no preface, no SETTINGS, and header blocks that refer to a dynamic table whose entries nobody saw; one stream was open when it began",
      "client and server on the Python library h2, on port 8080; tcpdump begins after some exchanges", packages=H2)
def http2_joined(case):
    from http2_ends import Client, Server
    known = behaviours()
    server = Server(8080, known)
    streams = Streams(case, "127.0.0.1:8080")
    fields = {"x_tenant": "shop", "accept": "application/json"}

    def exchange(client, path, method="GET", body=None, told=True, **more):
        number = client.request(method, path, body, **fields)
        stream = client.answer(number)
        assert stream.ended and stream.status in (200, 413)
        if told:
            streams.add(client.port, number, method, path, stream.status, "ok", expect={"certain": False}, **more)

    first, second = Client(port=8080), Client(port=8080)
    # Twice: the second time whatever can be in the tables is in them.
    for client in (first, first, second, second):
        exchange(client, "/items/1", told=False)
        exchange(client, "/trailers", told=False)
    slow = second.request("GET", "/slow?before", **fields)
    wait("the server to have it", lambda: server.seen("/slow?before"))
    case.capture("tcp port 8080")
    exchange(first, "/items/1", note="the path was in the table before the capture began")
    exchange(first, "/items/2", note="the path is a literal, and in the table afterwards")
    exchange(first, "/items/2", note="the path is in the table, by an entry that was seen")
    exchange(first, "/trailers", note="the path was in the table before the capture began", trailers={"x-checksum": "5eb63bbb"})
    exchange(first, "/items", "POST", b"item=tea", note="another method")
    assert second.answer(slow).status == 200
    streams.add(second.port, slow, "GET", "/slow?before", 200, None, note="the request was before the capture, the answer in it")
    number = second.request("GET", "/stall?cancel", **fields)
    wait("the server to have it", lambda: server.seen("/stall?cancel"))
    second.reset_stream(number, 8)
    streams.add(second.port, number, "GET", "/stall?cancel", None, "client-gave-up", expect={"certain": False}, reset=("client", 8))
    fresh = Client(port=8080)
    number = fresh.request("GET", "/items/1", **fields)
    assert fresh.answer(number).status == 200
    streams.add(fresh.port, number, "GET", "/items/1", 200, "ok", note="a connection from its beginning")
    for client in (first, second, fresh):
        client.close()
        streams.connection(client.port, goaway={"by": "client", "code": "NO_ERROR", "last_stream": 0}, ended="fin by the client",
                           note="from its beginning" if client is fresh else "joined")
    wait_closed(8080)
    case.truth.connections = {"total": 3}
    case.finish()
    streams.write()


def at_origin(streams, server, path, port=3000):
    """What the origin saw of a path, for Streams.add: one for each attempt."""
    return [{"connection": entry["connection"], "stream": entry["stream"], "method": entry["method"], "path": path, "server": f"127.0.0.1:{port}",
             "request_id": entry["headers"].get("x-request-id"), "seen": entry["seen"]} for entry in server.seen(path)]


@case("http2-envoy",
      "Envoy between two hops of HTTP/2, both captured, with its flags beside: the route's timeout (UT: RST_STREAM to the origin, with INTERNAL_ERROR as with everything that Envoy takes back), an origin that resets streams (UR, before and inside the answer), closes (UC), refuses a stream or answers 503 and is asked again, says GOAWAY; a client that resets (DR) and one that leaves (DC); gRPC's status in the log; Envoy's GOAWAY for an idle connection",
      "client on the Python library h2 → Envoy on port 8080 → origin on h2 on port 3000", packages=H2, alone=True)
def http2_envoy(case):
    import time

    from envoy import Envoy, cluster, deliver_logs, route
    from http2_ends import Client, Server
    known = behaviours()

    def first_time(end, stream):
        return len(end.server.seen(stream.headers[":path"])) == 1

    def unavailable_once(end, stream):
        end.whole_request(stream)
        if not first_time(end, stream):
            end.respond(stream)
        elif stream.headers[":path"] == "/unavailable":
            end.respond(stream, 503, body=b"")
        else:
            # Envoy asks again as soon as it has the status, and takes the first stream back.
            end.headers(stream.number, {":status": "503", "content-length": "6"})
            end.wait("RST_STREAM", lambda: stream.reset is not None)

    def refused_once(end, stream):
        end.whole_request(stream)
        if first_time(end, stream):
            end.reset_stream(stream.number, 7)
        else:
            end.respond(stream)

    def close(end, stream):
        end.whole_request(stream)
        end.fin()

    def goaway(end, stream):
        """The last answer of a connection, as a server does that is being stopped."""
        end.whole_request(stream)
        end.say_goaway(0, last=stream.number)
        time.sleep(0.05)
        end.respond(stream)

    def catalog(end, stream):
        end.whole_request(stream)
        end.headers(stream.number, {":status": "200", "content-type": "application/grpc", "grpc-status": "5", "grpc-message": "no such item"}, end=True)

    def catalog_item(end, stream):
        end.whole_request(stream)
        if stream.headers[":path"].endswith("GetItem"):
            end.headers(stream.number, {":status": "200", "content-type": "application/grpc"})
            end.data(stream.number, b"\0\0\0\0\x05\x0a\x03tea")
            end.headers(stream.number, {"grpc-status": "0"}, end=True)
        elif stream.headers[":path"].endswith("FindItem"):
            catalog(end, stream)
        else:
            known["stall"](end, stream)

    known.update({"unavailable": unavailable_once, "refused": refused_once, "close": close, "goaway": goaway, "shop.v1.Catalog": catalog_item})
    origin = Server(3000, known)
    retry = {"retry_policy": {"retry_on": "5xx,refused-stream", "num_retries": 2}}
    routes = [route("origin", "0.5s", prefix="/stall", name="stall"), route("origin", "0.5s", prefix="/shop.v1.Catalog/Slow", name="slow"),
              route("origin", prefix="/unavailable", name="retried", **retry), route("origin", prefix="/refused", name="refused", **retry), route("origin")]
    proxy = Envoy(case, "gateway", "127.0.0.1", 8080, routes, [cluster("origin", "127.0.0.1", 3000, http2=True)], edge=True,
                  more_keys={"grpc_status": "%GRPC_STATUS_NUMBER%", "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
                             "upstream_protocol": "%UPSTREAM_PROTOCOL%"},
                  every_host={"include_request_attempt_count": True}, more={"common_http_protocol_options": {"idle_timeout": "1s"}, "drain_timeout": "0.2s"})
    streams = Streams(case, "127.0.0.1:8080")
    case.capture("tcp port 8080 or tcp port 3000")

    def told(client, number, method, path, verdict, status, flags, upstream, reset=None, seen_interim=(), **more):
        """`upstream`: the verdict, the status and who resets with what, for each attempt."""
        (line,) = wait(f"{path} in Envoy's log", lambda: [line for line in proxy.lines() if line["path"] == path])
        assert flags is None or line["response_flags"] == flags, (path, line["response_flags"], line["response_code_details"])
        both = {"request_id": line["request_id"]}
        expect = {"envoy_flags": line["response_flags"], "envoy_code": line["response_code"]}
        grpc = {key: more.pop(key) for key in list(more) if key.startswith(("grpc", "messages"))}
        passed_on = {"interim": seen_interim} if seen_interim else {}
        streams.add(client.port, number, method, path, status, verdict, expect={**expect, **passed_on}, reset=reset, **grpc, **both, **passed_on, **more)
        said = {"interim": [103]} if path == "/hints" else {}
        seen = at_origin(streams, origin, path)
        assert len(seen) == len(upstream), (path, seen)
        for entry, (verdict, status, expected) in zip(seen, upstream):
            stream = entry.pop("seen")
            assert entry.pop("request_id") == line["request_id"]
            assert expected == "client" or stream.reset is None, (path, stream.reset)
            if expected == "client":
                assert stream.reset is not None, path
                expected = ("client", stream.reset)
            streams.add(entry["connection"], entry["stream"], method, path, status, verdict, server=entry["server"], reset=expected, expect=said, **said,
                        **({key: value for key, value in grpc.items() if stream.reset is None or key in ("grpc_service", "grpc_method")}), **both)

    def seen(client, path, verdict, status, flags, upstream, method="GET", body=None, **more):
        number = client.request(method, path, body)
        stream = client.answer(number)
        assert stream.status == status, (path, stream.status)
        reset = ("server", stream.reset) if stream.reset is not None else None
        told(client, number, method, path, verdict, status, flags, upstream, reset=reset, seen_interim=stream.interim, **more)

    fine = [("ok", 200, None)]
    user = Client(port=8080)
    seen(user, "/items/1", "ok", 200, "-", fine)
    seen(user, "/items", "ok", 200, "-", fine, method="POST", body=b"item=tea")
    seen(user, "/stall?timeout", "ok", 504, "UT", [("client-gave-up", None, "client")], note="the route's timeout is 500 ms")
    seen(user, "/reset-before", "ok", 503, "UR", [("server-reset-unanswered", None, ("server", 2))])
    seen(user, "/reset-inside", "server-truncated-response", 200, None, [("server-truncated-response", 200, ("server", 2))])
    seen(user, "/refused", "ok", 200, "-", [("refused", None, ("server", 7)), ("ok", 200, None)], note="retried by Envoy")
    seen(user, "/unavailable", "ok", 200, "-", [("ok", 503, None), ("ok", 200, None)], note="retried by Envoy")
    seen(user, "/unavailable?body", "ok", 200, "-", [("client-gave-up-mid-response", 503, "client"), ("ok", 200, None)], note="retried by Envoy, which did not wait for the body of the 503")
    seen(user, "/trailers", "ok", 200, "-", fine)
    seen(user, "/hints", "ok", 200, "-", fine)
    seen(user, "/goaway", "ok", 200, "-", fine, note="the origin said GOAWAY before it answered")
    seen(user, "/items/2", "ok", 200, "-", fine, note="on a new connection to the origin")
    seen(user, "/close", "ok", 503, "UC", [("server-closed-unanswered", None, None)])
    # Two at once, the later one done first.
    slow, quick = user.request("GET", "/slow"), user.request("GET", "/items/3")
    assert user.answer(quick).status == user.answer(slow).status == 200
    told(user, slow, "GET", "/slow", "ok", 200, "-", fine)
    told(user, quick, "GET", "/items/3", "ok", 200, "-", fine)
    number = user.request("GET", "/stall?cancel")
    wait("the origin to have it", lambda: origin.seen("/stall?cancel"))
    time.sleep(0.1)
    user.reset_stream(number, 8)
    wait("the origin's RST_STREAM", lambda: origin.seen("/stall?cancel")[0]["seen"].reset is not None)
    told(user, number, "GET", "/stall?cancel", "client-gave-up", None, "DR", [("client-gave-up", None, "client")], reset=("client", 8))

    message = b"\0\0\0\0\x05\x0a\x03tea"

    def call(name, status, grpc_status, flags, upstream, messages, **more):
        path = f"/shop.v1.Catalog/{name}"
        number = user.request("POST", path, message, content_type="application/grpc", te="trailers")
        stream = user.answer(number)
        assert stream.status == status
        said = stream.trailers or stream.headers
        assert said["grpc-status"] == grpc_status, said
        told(user, number, "POST", path, "ok", status, flags, upstream, grpc_service="shop.v1.Catalog", grpc_method=name,
             grpc_status=int(said["grpc-status"]), grpc_message=said.get("grpc-message"), messages_request=1, messages_response=messages, **more)

    call("GetItem", 200, "0", "-", fine, 1)
    call("FindItem", 200, "5", "-", fine, 0, note="trailers-only")
    call("SlowItem", 200, "14", "UT", [("client-gave-up", None, "client")], 0, note="Envoy's own answer to a gRPC call that took 500 ms")
    leaving = Client(port=8080)
    number = leaving.request("GET", "/slow?leave")
    wait("the origin to have it", lambda: origin.seen("/slow?leave"))
    leaving.fin()
    told(leaving, number, "GET", "/slow?leave", "client-gave-up", None, "DC", [("client-gave-up", None, "client")], note="the client's FIN")
    streams.connection(leaving.port, ended="fin by the client")
    user.wait("Envoy's GOAWAY for an idle connection", lambda: user.goaway and user.ended)
    user.fin()
    streams.connection(user.port, goaway={"by": "server", "code": ERRORS[user.goaway[0]], "last_stream": user.goaway[1]},
                       ended="fin by the server", note="idle for 1 s")
    for end in origin.ends:
        paths = [entry["path"] for entry in origin.log if entry["end"] is end]
        last = [entry["stream"] for entry in origin.log if entry["path"] == "/goaway"]
        more = {"goaway": {"by": "server", "code": "NO_ERROR", "last_stream": last[0]}} if "/goaway" in paths else {}
        streams.connection(end.port, server="127.0.0.1:3000", **more, ended="fin by the client" if end.ended == "fin" else "fin by the server")
        if end.ended is None:
            end.fin()
    wait_closed(8080, 3000)
    total = 2 + len(origin.ends)
    case.truth.connections = {"total": total, "http/2": total}
    case.finish()
    deliver_logs(case, proxy)
    streams.write()
