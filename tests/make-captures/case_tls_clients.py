"""TLS with keys of real clients: Go, Node, Java and Chromium, each with its own way to a key log. What they asked and what they had is
what nginx has logged; tshark has to see the same."""

import asyncio
import collections
import json
import os
import socket
import ssl
import subprocess
import threading
import time

from case_tls import HOST, VERSIONS, Handshakes, certificate, name_of
from case_websocket import KINDS, PACKAGES, Sent, Tunnels, serve
from lab import case, wait, wait_closed, wait_listening
from origin import Origin

HERE = os.path.dirname(os.path.abspath(__file__))
PAGES = os.path.join(HERE, "tls-clients")
MADE = os.path.join(HERE, ".venv")
AGENT = "name.neykov:extract-tls-secrets:4.0.0"
# HTTP/2 with tickets and HTTP/1.1 with identifiers of sessions, for programs; for Chromium the same, with one version of TLS each, and WebSockets.
PROGRAMS, BROWSER, CHATS = (8443, 8444), (8445, 8446, 8447, 8448), 8449
PORTS = (*PROGRAMS, *BROWSER, CHATS)
NGINX = """daemon off; master_process off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/error.log;
events {{ worker_connections 64; }}
http {{ server_tokens off; keepalive_timeout 60s; client_max_body_size 10m;
  types {{ text/html html; text/css css; text/javascript js; image/svg+xml svg; }}
  client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  log_format tls escape=json '{{"server":$server_port,"port":$remote_port,"version":"$ssl_protocol","cipher":"$ssl_cipher","sni":"$ssl_server_name","alpn":"$ssl_alpn_protocol","reused":"$ssl_session_reused","http":"$server_protocol","method":"$request_method","path":"$request_uri","status":$status,"end":$msec,"took":$request_time}}';
  access_log {work}/tls.log tls;
  ssl_certificate {work}/server.crt; ssl_certificate_key {work}/server.key; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:all:1m; ssl_early_data on;
  server {{ listen 127.0.0.1:8443 ssl http2; location / {{ proxy_pass http://127.0.0.1:3000; }} }}
  server {{ listen 127.0.0.1:8444 ssl; ssl_session_tickets off; location / {{ proxy_pass http://127.0.0.1:3000; }} }}
  {browser}
  server {{ listen unix:{work}/status; access_log off; location / {{ stub_status; }} }}
}}
"""
FOR_BROWSER = """server {{ listen 127.0.0.1:{port} ssl{http2}; ssl_protocols TLSv1.{version}; keepalive_timeout 600ms;
    location / {{ proxy_pass http://127.0.0.1:3000; }} location ~ ^/chromium/[^/]+/[^/]+/(?<file>.+)$ {{ alias {pages}/$file; }} }}
"""
# How each chat ends: see page.js.
CLOSES = {
    "/chat": {"compressed": [3, 3], "closed_by": "client", "close_code": 4001, "close_reason": "genug für heute", "close_answered": True, "findings": ["websocket-close-code"]},
    "/parts": {"closed_by": "server", "close_code": 1000, "close_reason": None, "close_answered": True},
    "/pings": {"closed_by": "client", "close_code": 1000, "close_reason": None, "close_answered": True},
    "/going-away": {"closed_by": "server", "close_code": 1001, "close_reason": "the server stops", "close_answered": True, "findings": ["websocket-close-code"]},
}
LAST = "/items?delay=1500&client=chromium&tls=1.3&http=2"


class Chats(Sent):
    """What the server's library says of each frame, those that it has had, too: "< TEXT …"."""

    def emit(self, record):
        super().emit(record)
        if record.msg == "< %s" and hasattr(record.args[0], "opcode"):
            ends = record.websocket.transport.get_extra_info("peername"), record.websocket.transport.get_extra_info("sockname")
            kinds = self.frames.setdefault((ends[0][1], ends[1][1]), dict.fromkeys(KINDS.values(), 0))
            kinds[KINDS[int(record.args[0].opcode)]] += 1


def serve_chats(work, told, met):
    """A server of WebSockets over TLS in a thread of its own."""
    from websockets.asyncio.server import serve as listen

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{work}/server.crt", f"{work}/server.key")

    async def noted(websocket):
        met.append((time.time(), websocket.request.path, websocket.remote_address[1]))
        await serve(websocket)

    async def run():
        await listen(noted, HOST, CHATS, ssl=context, logger=told.sent.logger("frames"), ping_interval=None, close_timeout=2)
        await asyncio.Future()

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()


def accepted(work):
    """How many connections nginx has had."""
    with socket.socket(socket.AF_UNIX) as status:
        status.connect(f"{work}/status")
        status.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while part := status.recv(4096):
            answer += part
    return int(answer.split(b"server accepts handled requests")[1].split()[0])


def witnessed(capture):
    """What tshark sees inside of TLS, by server's port and client's: requests and statuses, and streams that the client has cancelled."""
    fields = ("tcp.srcport", "tcp.dstport", "http.request.method", "http.request.uri", "http.response.code",
              "http2.headers.method", "http2.headers.path", "http2.headers.status", "http2.rst_stream.error")
    done = subprocess.run(["tshark", "-r", capture, "-Y", "http or http2", "-T", "fields", *(word for field in fields for word in ("-e", field))],
                          check=True, capture_output=True, text=True)
    seen = collections.defaultdict(collections.Counter)
    for line in done.stdout.splitlines():
        source, destination, *words = line.split("\t")
        methods, paths, statuses, methods2, paths2, statuses2, resets = ([part for part in word.split(",") if part] for word in words)
        if int(destination) in PORTS:
            of = seen[int(destination), int(source)]
            of.update(zip(methods + methods2, paths + paths2))
            of.update("cancelled" for code in resets if code == "8")
        else:
            seen[int(source), int(destination)].update(int(status) for status in statuses + statuses2)
    return seen


@case("tls-clients",
      "TLS 1.2 and 1.3 of real clients, with HTTP/1.1 and HTTP/2 inside: connections kept and sessions resumed, large bodies, a page with its parts, WebSockets that are compressed, in parts, pinged and closed with codes, and clients that give up after 500 ms; the capture has their keys",
      "Go's net/http (KeyLogWriter), Node's https and http2 (--tls-keylog), Java's HttpClient (extract-tls-secrets) and Chromium (--ssl-key-log-file) → nginx on ports 8443–8448 → origin; Chromium → the Python library websockets on port 8449; editcap --inject-secrets",
      packages=PACKAGES, go="tls-go", tools=("node", "java", "chromium"), jars=(AGENT,))
def tls_clients(case):
    os.chmod(case.work, 0o755)
    certificate(case.work, "server")
    # Hellos of Go and Chromium are longer than a segment.
    case.run(["ip", "link", "set", "dev", "lo", "mtu", "1500", "gso_max_segs", "1"])
    servers = [FOR_BROWSER.format(port=port, pages=PAGES, http2=" http2" if number % 2 else "", version=2 + number // 2) for number, port in enumerate(BROWSER)]
    with open(os.path.join(case.work, "nginx.conf"), "w") as config:
        config.write(NGINX.format(work=case.work, browser="  ".join(servers)))
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    case.processes.start(["nginx", "-c", os.path.join(case.work, "nginx.conf"), "-p", case.work], **quiet)
    told, met = Tunnels(case), []
    told.sent = Chats()
    serve_chats(case.work, told, met)
    Origin(HOST, 3000)
    for port in (3000, *PORTS):
        wait_listening(port)
    before = accepted(case.work)
    case.capture(f"tcp portrange {PORTS[0]}-{PORTS[-1]}")

    log = os.path.join(case.work, "tls.log")
    keys = {name: os.path.join(case.work, name + ".keys") for name in ("go", "node", "java", "chromium")}
    java = os.path.join(MADE, "jars", "{1}-{2}.jar".format(*AGENT.split(":")))
    case.run([os.path.join(MADE, "go", "tls-go"), keys["go"]], timeout=120)
    case.run(["node", f"--tls-keylog={keys['node']}", os.path.join(PAGES, "client.js")], timeout=120)
    case.run(["java", f"-javaagent:{java}={keys['java']}", os.path.join(PAGES, "Client.java")], timeout=120)
    browser = case.processes.start(
        ["chromium", "--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
         "--disable-background-networking", "--disable-component-update", "--ignore-certificate-errors", f"--user-data-dir={case.work}/profile",
         f"--ssl-key-log-file={keys['chromium']}", f"https://{HOST}:{BROWSER[0]}/chromium/1.2/1/page.html"], **quiet)
    wait("Chromium's last request", lambda: os.path.exists(log) and LAST in open(log).read(), 120)
    browser.terminate()
    browser.wait(10)
    wait_closed(*PORTS)
    # This question was one, too.
    connections = accepted(case.work) - before - 1 + len(met)
    for tcpdump in case.captures:
        tcpdump.finish()
    lines = [json.loads(line) for line in open(log).read().splitlines()]

    secrets = os.path.join(case.work, "keys.log")
    with open(secrets, "w") as file:
        file.writelines(open(path).read() for path in keys.values())
    capture = os.path.join(case.work, "tls-clients.pcapng")
    case.run(["editcap", "-F", "pcapng", "--inject-secrets", f"tls,{secrets}", case.captures[0].path, capture])
    differ(lines, met, witnessed(capture))
    handshakes = tell(case, told, lines, met)
    case.truth.connections = {"total": connections}
    case.deliver("tls-clients.pcapng")
    handshakes.write("tls-clients.pcapng")
    case.truth.write(case.out, "tls-clients.pcapng")
    told.write("tls-clients.pcapng")


def tell(case, told, lines, met):
    """The truth: what nginx has logged, and what the server of WebSockets has had, in the order in which it began."""
    handshakes, numbers = Handshakes(case), {}

    def answered(line):
        left, ends = line["status"] == 499, (line["server"], line["port"])
        if ends not in numbers:
            numbers[ends] = len(numbers)
            handshakes.add(*ends, version=VERSIONS[line["version"]], sni=line["sni"] or None, alpn=line["alpn"] or None, cipher=name_of(line["cipher"]),
                           resumed=line["reused"] == "r", verdict=None, alert=None)
        case.truth.add(line["method"], line["path"], "client-gave-up" if left else "ok", None if left else line["status"], server=f"{HOST}:{ends[0]}",
                       connection=numbers[ends], **({"late_status": None} if left else {}))

    def talked(path, port):
        told.add(path, port, CHATS, **CLOSES[path])

    began = [(line["end"] - line["took"], lambda line=line: answered(line)) for line in lines]
    began += [(at, lambda path=path, port=port: talked(path, port)) for at, path, port in met]
    for _, tell_it in sorted(began, key=lambda one: one[0]):
        tell_it()
    return handshakes


def differ(lines, met, seen):
    """Fails if tshark has not seen what nginx has logged."""
    logged = collections.defaultdict(collections.Counter)
    for line in lines:
        # Java's agent logs the secrets of TLS 1.2 under the session's identifier, by which tshark finds them. Of one with a ticket only a
        # client that takes it up says one.
        if line["server"] == PROGRAMS[0] and line["version"] == "TLSv1.2" and line["reused"] == "." and "client=java" in line["path"]:
            continue
        of = logged[line["server"], line["port"]]
        of[line["method"], line["path"]] += 1
        of[line["status"] if line["status"] != 499 else "cancelled"] += line["status"] != 499 or line["http"] == "HTTP/2.0"
    for _, path, port in met:
        logged[CHATS, port].update([("GET", path), 101])
    found = [f"{ends}: tshark has {dict(seen[ends])}, nginx {dict(logged[ends])}" for ends in {*seen, *logged} if +seen[ends] != +logged[ends]]
    assert not found, "\n".join(found)
