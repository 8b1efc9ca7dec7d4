"""Shapes of HTTP/1.1 and HTTP/2 that are no failures: pipelining, interim answers, odd bodies, upgrades, tunnels."""

import base64
import os
import socket
import ssl
import subprocess
import threading
import time

from case_mesh import curl, curl_each
from envoy import Envoy, Tls, cluster, deliver_logs, route
from http2 import Http2
from lab import case, wait, wait_closed, wait_listening
from origin import Origin
from wire import Client, Stream

SERVER = "127.0.0.1:3000"
BASE = "http://127.0.0.1:3000"


def start(case, filter="tcp port 3000", **options):
    case.truth.server = SERVER
    origin = Origin(**{key: options.pop(key) for key in ("receive_buffer", "keepalive", "quick_ack") if key in options})
    case.capture(filter, **options)
    return origin


def finish(case, connections, *ports):
    wait_closed(*(ports or (3000,)))
    case.truth.connections = connections
    case.finish()


@case("pipelining", "Pipelined requests: five in segments of their own, four in one segment (the second one slow, so that the later answers wait for it), a POST with a body among them",
      "raw client → origin")
def pipelining(case):
    start(case)
    truth = case.truth
    client = Client()
    for number in range(1, 6):
        truth.add("GET", f"/items/{number}", "ok", 200, connection=0)
        client.request("GET", f"/items/{number}")
    assert [client.response() for _ in range(5)] == [200] * 5
    client.close()
    client = Client()
    burst = b""
    for method, path, body in (("GET", "/items/6", b""), ("POST", "/items?delay=200", b'{"item":"tea"}\n'), ("HEAD", "/items/7", b""), ("GET", "/missing", b"")):
        truth.add(method, path, "ok", 404 if path == "/missing" else 200, connection=1)
        burst += client.head(method, path, **({"Content_Length": str(len(body))} if body else {})) + body
    client.send(burst)
    assert [client.response(method) for method in ("GET", "POST", "HEAD", "GET")] == [200, 200, 200, 404]
    client.close()
    finish(case, {"total": 2})


@case("expect-100", "`Expect: 100-continue`: an interim 100 and then 200; 417 without the body being sent; a 100 and then nothing until the client gives up (a 1xx is no response byte)",
      "raw client and curl → origin")
def expect_100(case):
    origin = start(case, nano=False)
    truth = case.truth
    truth.add("POST", "/expect", "ok", 200, interim=[100])
    assert curl("-H", "Expect: 100-continue", "-d", "item=tea", BASE + "/expect") == [200]
    client = Client()
    truth.add("PUT", "/expect", "ok", 200, interim=[100])
    client.send(client.head("PUT", "/expect", Content_Length="2000", Expect="100-continue"))
    assert client.stream.head().status == 100
    client.send(b"x" * 2000)
    assert client.response() == 200
    truth.add("PUT", "/expect-failed", "ok", 417)
    client.send(client.head("PUT", "/expect-failed", Content_Length="2000", Expect="100-continue"))
    assert client.response() == 417
    client.close()
    client = Client()
    truth.add("PUT", "/expect-forever", "client-gave-up", None, interim=[100])
    client.send(client.head("PUT", "/expect-forever", Content_Length="500", Expect="100-continue"))
    assert client.stream.head().status == 100
    client.send(b"x" * 500)
    time.sleep(0.25)        # the client's patience
    client.close()
    wait("the origin to see it", lambda: origin.done["/expect-forever"])
    finish(case, {"total": 3})


@case("early-hints", "103 Early Hints before the answer, a 503, an answer in several segments 60 ms apart, a response head that comes in pieces, a slow answer",
      "raw client → origin")
def early_hints(case):
    start(case)
    truth = case.truth
    client = Client()
    for path, status, more in (("/early-hints", 200, {"interim": [103]}), ("/unavailable", 503, {}), ("/segments?n=5&delay=60", 200, {}),
                               ("/slow-headers", 200, {}), ("/items?delay=150", 200, {})):
        truth.add("GET", path, "ok", status, **more)
        client.exchange("GET", path, status)
    client.close()
    finish(case, {"total": 1})


@case("chunked-trailers", "Chunked bodies both ways: with trailers, with a chunk extension, a chunked request, all on one connection",
      "raw client → origin")
def chunked_trailers(case):
    start(case)
    truth = case.truth
    client = Client()
    truth.add("GET", "/chunked", "ok", 200)
    client.exchange("GET", "/chunked", 200)
    truth.add("GET", "/trailers", "ok", 200)
    client.exchange("GET", "/trailers", 200, TE="trailers")
    truth.add("POST", "/items", "ok", 200)
    client.send(client.head("POST", "/items", Transfer_Encoding="chunked"))
    for part in (b"4\r\ntea,\r\n", b"5;q=1\r\nrice,\r\n", b"4\r\nsa", b"lt\r\n", b"0\r\nX-Checksum: 1\r\n\r\n"):
        client.send(part)
    assert client.response() == 200
    truth.add("GET", "/items", "ok", 200)
    client.exchange("GET", "/items", 200)
    client.close()
    finish(case, {"total": 1})


@case("until-close", "Bodies that end with the server's FIN, in the manner of HTTP/1.0 (ok), and one that an RST ended (truncated)",
      "curl -0 and raw client → origin")
def until_close(case):
    start(case)
    case.truth.add("GET", "/until-close", "ok", 200)
    assert curl("-0", BASE + "/until-close") == [200]
    case.truth.add("GET", "/until-close", "ok", 200)
    client = Client()
    client.exchange("GET", "/until-close", 200)
    client.close()
    case.truth.add("GET", "/until-close-reset", "server-truncated-response", 200)
    client = Client()
    client.request("GET", "/until-close-reset")
    assert client.close_seen() == "rst"
    client.close()
    finish(case, {"total": 3})


@case("head-204-304", "Answers without a body whatever their headers say: HEAD, 204, 304 with a Content-Length; then a GET on the same connection",
      "raw client → origin")
def head_204_304(case):
    start(case)
    client = Client()
    for method, path, status in (("HEAD", "/items?size=5000", 200), ("DELETE", "/no-content", 204), ("GET", "/not-modified", 304), ("HEAD", "/missing", 404),
                                 ("OPTIONS", "/items", 200), ("GET", "/items", 200)):
        case.truth.add(method, path, "ok", status)
        client.exchange(method, path, status)
    client.close()
    finish(case, {"total": 1})


@case("upgrade-websocket", "WebSocket: 101 and a few frames both ways that are no HTTP; one plain request before it on the same connection", "raw client → origin")
def upgrade_websocket(case):
    start(case)
    client = Client()
    case.truth.add("GET", "/items", "ok", 200)
    client.exchange("GET", "/items", 200)
    case.truth.add("GET", "/websocket", "upgraded", 101)
    client.request("GET", "/websocket", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Version="13",
                   Sec_WebSocket_Key=base64.b64encode(b"make-captures-16").decode())
    assert client.response() == 101
    for opcode, payload in ((1, b"GET /not-a-request HTTP/1.1\r\n\r\n"), (2, bytes(range(60))), (9, b"ping"), (8, b"\x03\xe8")):
        client.send(bytes([0x80 | opcode, 0x80 | len(payload), 1, 2, 3, 4]) + bytes(byte ^ (1, 2, 3, 4)[i % 4] for i, byte in enumerate(payload)))
        assert client.stream.websocket_frame() == (opcode, payload)
    assert client.close_seen() == "fin"
    client.close()
    finish(case, {"total": 1})


class Tunnel:
    """A minimal CONNECT proxy."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, near):
        stream = Stream(near)
        host, port = stream.head().target.rsplit(":", 1)
        try:
            far = socket.create_connection((host, int(port)))
        except ConnectionRefusedError:
            near.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            near.close()
            return
        near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=self.pump, args=(far, near), daemon=True)
        back.start()
        self.pump(near, far)
        back.join()
        near.close()
        far.close()

    def pump(self, source, sink):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@case("connect-tunnel", "CONNECT: a tunnel (`upgraded`) whose inside looks like HTTP but is none of the proxy's exchanges, the tunnelled requests on the origin's port, and a CONNECT answered 502",
      "curl -p -x → a small CONNECT proxy on port 3128 → origin; both ports")
def connect_tunnel(case):
    start(case, "tcp port 3000 or tcp port 3128")
    Tunnel(3128)
    wait_listening(3128)
    case.truth.add("CONNECT", "127.0.0.1:3000", "upgraded", 200, server="127.0.0.1:3128")
    case.truth.add("GET", "/items/1", "ok", 200)
    case.truth.add("GET", "/items/2", "ok", 200)
    assert curl_each([BASE + "/items/1", BASE + "/items/2"], "-p", "-x", "http://127.0.0.1:3128") == [200, 200]
    case.truth.add("CONNECT", "127.0.0.1:3001", "ok", 502, server="127.0.0.1:3128")
    curl("-p", "-x", "http://127.0.0.1:3128", "http://127.0.0.1:3001/", ok=(56,))
    finish(case, {"total": 3}, 3000, 3128)


@case("early-413", "413 before the request's body is there: the client sends the rest all the same and goes on; it stops and closes; the origin closes with unread bytes, which is an RST after its whole answer",
      "raw client → origin")
def early_413(case):
    start(case)
    truth = case.truth
    body = b"x" * 6000
    client = Client()
    truth.add("POST", "/too-large?then=drain", "ok", 413)
    client.send(client.head("POST", "/too-large?then=drain", Content_Length="6000") + body[:2000])
    assert client.response() == 413
    client.send(body[2000:])
    truth.add("GET", "/items", "ok", 200)
    client.exchange("GET", "/items", 200)
    client.close()
    truth.add("POST", "/too-large?then=close", "ok", 413)
    client = Client()
    client.send(client.head("POST", "/too-large?then=close", Content_Length="6000") + body[:2000])
    assert client.response() == 413
    client.close()
    truth.add("POST", "/too-large?then=reset", "server-reset-early-answer", 413, note="the RST comes after the whole answer, for the rest of the request")
    client = Client()
    client.send(client.head("POST", "/too-large?then=reset", Content_Length="6000") + body[:2000])
    assert client.response() == 413
    client.send(body[2000:3000])
    assert client.close_seen() == "rst"
    client.close()
    finish(case, {"total": 3})


@case("slow-body", "Uploads that take their time: 1.2 s in six pieces (`slow-request-body`), a head in three pieces, and a quick one",
      "raw client → origin")
def slow_body(case):
    start(case, nano=False)
    client = Client()
    case.truth.add("POST", "/items", "ok", 200, findings=["slow-request-body"])
    client.send(client.head("POST", "/items", Content_Length="1200"))
    for _ in range(6):
        time.sleep(0.2)     # the slow uplink that the capture is about
        client.send(b"x" * 200)
    assert client.response() == 200
    case.truth.add("GET", "/items", "ok", 200)
    head = client.head("GET", "/items")
    for part in (head[:9], head[9:30], head[30:]):
        client.send(part)
        time.sleep(0.05)
    assert client.response() == 200
    case.truth.add("POST", "/items", "ok", 200)
    client.exchange("POST", "/items", 200, body=b"x" * 1200)
    client.close()
    finish(case, {"total": 1})


@case("proxy-probes", "Probes beside ordinary requests: `kube-probe/1.36` on the app's port, Istio's ports 15020 and 15021, a scrape of 15090; kept out of the rates",
      "curl → origin on ports 3000, 15020, 15021, 15090; one probe is answered 503")
def proxy_probes(case):
    ports = (3000, 15020, 15021, 15090)
    start(case, " or ".join(f"tcp port {port}" for port in ports))
    for port in ports[1:]:
        Origin(port=port)
    truth = case.truth

    def get(port, path, status, agent):
        truth.add("GET", path, "ok", status, server=f"127.0.0.1:{port}", probe=agent.startswith("kube-probe") or port != 3000)
        assert curl("-A", agent, f"http://127.0.0.1:{port}{path}") == [status]

    get(3000, "/items", 200, "curl/8")
    get(3000, "/healthz", 200, "kube-probe/1.36")
    get(3000, "/unavailable", 503, "kube-probe/1.36")
    get(15021, "/healthz/ready", 200, "kube-probe/1.36")
    get(15020, "/app-health/catalog/livez", 200, "kube-probe/1.36")
    get(15090, "/stats/prometheus", 200, "Prometheus/3.5.0")
    get(3000, "/missing", 404, "curl/8")
    case.truth.summary = {"success_rates": [{"server": SERVER, "counted": 2, "good_for_client": 2, "good_for_server": 2}]}
    finish(case, {"total": 7}, *ports)


@case("ipv6", "Good exchanges, a give-up and a refused connect over IPv6", "raw client → origin on [::1]:3000")
def ipv6(case):
    origin = Origin("::1", 3000, family=socket.AF_INET6)
    case.truth.server = "[::1]:3000"
    case.capture("tcp port 3000 or tcp port 3001")
    client = Client("::1")
    for number in range(1, 4):
        case.truth.add("GET", f"/items/{number}", "ok", 200)
        client.exchange("GET", f"/items/{number}", 200)
    case.truth.add("GET", "/stall-before-answer?late=1", "client-gave-up", None, late_status=200)
    client.request("GET", "/stall-before-answer?late=1")
    time.sleep(0.25)
    client.close()
    wait("the late answer", lambda: origin.done["/stall-before-answer?late=1"])
    curl("http://[::1]:3001/", ok=(7,))
    finish(case, {"total": 2, "connect-refused": 1})


@case("nginx-keepalive", "nginx: several requests on one connection, a 404, a 304, a body of 70 KB in several segments, and nginx's own keep-alive timeout closing the idle connection 1 s later (no exchange's fault)",
      "curl → nginx on port 8081, `keepalive_timeout 1s`", )
def nginx_keepalive(case):
    root = os.path.join(case.work, "html")
    os.mkdir(root)
    os.chmod(case.work, 0o755)
    with open(os.path.join(root, "index.html"), "w") as page:
        page.write("<h1>catalog</h1>\n")
    with open(os.path.join(root, "large.txt"), "w") as page:
        page.write("tea and rice\n" * 5400)
    with open(os.path.join(case.work, "nginx.conf"), "w") as config:
        config.write(f"""daemon off; master_process off; worker_processes 1; pid {case.work}/nginx.pid; error_log {case.work}/error.log;
            events {{ worker_connections 64; }}
            http {{ access_log off; server_tokens off; keepalive_timeout 1s; default_type text/plain;
              client_body_temp_path {case.work}/b; proxy_temp_path {case.work}/p; fastcgi_temp_path {case.work}/f; uwsgi_temp_path {case.work}/u; scgi_temp_path {case.work}/s;
              server {{ listen 127.0.0.1:8081; root {root}; }} }}""")
    case.processes.start(["nginx", "-c", os.path.join(case.work, "nginx.conf"), "-p", case.work], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_listening(8081)
    case.truth.server = "127.0.0.1:8081"
    case.capture("tcp port 8081", nano=False)
    paths = ("/", "/index.html", "/no-such-page", "/large.txt", "/")
    for path in paths:
        case.truth.add("GET", path, "ok", 404 if path == "/no-such-page" else 200)
    codes = curl_each([f"http://127.0.0.1:8081{path}" for path in paths])
    assert codes == [200, 200, 404, 200, 200], codes
    client = Client(port=8081)
    case.truth.add("GET", "/", "ok", 200)
    client.exchange("GET", "/", 200)
    case.truth.add("GET", "/", "ok", 304)
    client.exchange("GET", "/", 304, If_None_Match=client.headers["etag"])
    assert client.close_seen() == "fin"
    client.close()
    finish(case, {"total": 2}, 8081)


@case("http2-prior-knowledge", "HTTP/2 in the clear. From curl: a GET, a POST, a 404, a 503 of the proxy's, a client that leaves. On one connection: three streams at once whose answers come in another order, a stream that Envoy resets inside its answer (its origin had closed), one that the client cancels before any answer byte, one inside the answer, and one good stream after all that",
      "curl --http2-prior-knowledge and a raw HTTP/2 client → Envoy on port 8080 (its origin's port is not captured)")
def http2_prior_knowledge(case):
    origin = Origin(port=3000)
    proxy = Envoy(case, "gateway", "127.0.0.1", 8080, [route("origin", "5s")], [cluster("origin", "127.0.0.1", 3000)], edge=True)
    case.truth.server = "127.0.0.1:8080"
    case.capture("tcp port 8080")
    truth, base, h2 = case.truth, "http://127.0.0.1:8080", "--http2-prior-knowledge"
    # One connection each: curl 7.88 cannot use a prior-knowledge connection twice.
    for path in ("/items/1", "/missing"):
        truth.add("GET", path, "ok", 404 if path == "/missing" else 200, envoy_flags="-")
        assert curl(h2, base + path) == [truth.exchanges[-1]["status"]]
    truth.add("POST", "/items", "ok", 200, envoy_flags="-")
    assert curl(h2, "-d", "item=tea", base + "/items") == [200]
    truth.add("GET", "/close-before-answer", "ok", 503, envoy_flags="UC")
    assert curl(h2, base + "/close-before-answer") == [503]
    truth.add("GET", "/stall-before-answer", "client-gave-up", None, envoy_flags="DC")
    curl(h2, "--max-time", "0.3", base + "/stall-before-answer", ok=(28,))
    client = Http2("127.0.0.1", 8080)
    streams = []
    for path in ("/items?delay=300", "/items/3?size=3000", "/trailers"):
        truth.add("GET", path, "ok", 200, envoy_flags="-")
        streams.append(client.request("GET", path))
        wait("the origin to have the request", lambda: origin.seen[path])
    assert client.wait(*streams) == ["whole"] * 3
    truth.add("GET", "/close-in-body", "server-truncated-response", 200, note="RST_STREAM by the server")
    stream = client.request("GET", "/close-in-body")
    assert client.wait(stream) != ["whole"] and stream in client.started
    truth.add("PUT", "/stall-before-answer?cancelled", "client-gave-up", None, envoy_flags="DR", note="RST_STREAM CANCEL by the client")
    stream = client.request("PUT", "/stall-before-answer?cancelled", b"item=rice")
    wait("the origin to have the request", lambda: origin.seen["/stall-before-answer?cancelled"])
    time.sleep(0.15)        # the client's patience
    client.cancel(stream)
    truth.add("GET", "/stall-in-body", "client-gave-up-mid-response", 200, note="RST_STREAM CANCEL by the client")
    stream = client.request("GET", "/stall-in-body")
    while stream not in client.started:
        client.read()
    client.cancel(stream)
    truth.add("GET", "/items/4", "ok", 200, envoy_flags="-")
    assert client.wait(client.request("GET", "/items/4")) == ["whole"]
    client.close()
    lines = {line["path"]: line for line in proxy.wait_logged(len(truth.exchanges))}
    for entry in truth.exchanges:
        wrote = lines[entry["path"]]
        entry.setdefault("envoy_flags", wrote["response_flags"])
        assert entry["envoy_flags"] == wrote["response_flags"] and entry["status"] in (None, wrote["response_code"]), (entry, wrote)
    wait_closed(8080)
    case.truth.connections = {"total": 6, "http/2": 6}
    case.finish()
    deliver_logs(case, proxy)


@case("tls", "TLS 1.3 and 1.2: connections that are counted and make no exchange; a plain connection beside them",
      "raw client → origin behind Python's ssl on port 8443, self-signed certificate; origin on port 3000")
def tls(case):
    Tls(case.work)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(f"{case.work}/sidecar.crt", f"{case.work}/sidecar.key")
    Origin(port=8443, tls=server)
    start(case, "tcp port 3000 or tcp port 8443")
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        client = Client(port=8443, tls=context)
        client.exchange("GET", "/items", 200)
        client.exchange("GET", "/items", 200)
        client.close()
    case.truth.add("GET", "/items", "ok", 200)
    assert curl(BASE + "/items") == [200]
    finish(case, {"total": 3, "tls": 2}, 3000, 8443)
