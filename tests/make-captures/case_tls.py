"""TLS without keys: what each handshake was, how it ended and who ended it, as its ends know it: NAME.tls.json."""

import json
import os
import socket
import ssl
import subprocess
import threading
import time

from lab import case, wait, wait_closed, wait_listening

HOST = "127.0.0.1"
NGINX = """daemon off; master_process off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/error.log;
events {{ worker_connections 64; }}
http {{ server_tokens off; keepalive_timeout 60s; default_type text/plain;
  client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  log_format tls escape=json '{{"port":$remote_port,"version":"$ssl_protocol","cipher":"$ssl_cipher","sni":"$ssl_server_name","reused":"$ssl_session_reused","alpn":"$ssl_alpn_protocol","early":"$ssl_early_data","verify":"$ssl_client_verify"}}';
  access_log {work}/tls.log tls;
  ssl_certificate {work}/server.crt; ssl_certificate_key {work}/server.key; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:all:1m; ssl_prefer_server_ciphers off;
  server {{ listen 127.0.0.1:8443 ssl; location / {{ return 200 "tea\\n"; }} location /slow {{ proxy_pass http://127.0.0.1:3000; }} }}
  server {{ listen 127.0.0.1:8444 ssl; ssl_ecdh_curve secp384r1; location / {{ return 200 "tea\\n"; }} }}
  server {{ listen 127.0.0.1:8445 ssl; ssl_verify_client on; ssl_client_certificate {work}/client.crt; location / {{ return 200 "tea\\n"; }} }}
  server {{ listen 127.0.0.1:8446 ssl; ssl_protocols TLSv1.3; ssl_early_data on; location / {{ return 200 "tea\\n"; }} }}
  server {{ listen 127.0.0.1:8447 ssl; ssl_reject_handshake on; }}
}}
"""
VERSIONS = {"TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3"}


class Handshakes:
    """The truth, a row for each connection in the order in which they were made."""

    def __init__(self, case):
        self.case, self.rows = case, []

    def add(self, server, port, **what):
        self.rows.append({"server": f"{HOST}:{server}", "connection": port, **what})

    def write(self, capture=None):
        capture = capture or os.path.basename(self.case.captures[0].path)
        text = ",\n    ".join(json.dumps(row, ensure_ascii=False) for row in self.rows)
        with open(os.path.join(self.case.out, self.case.name + ".tls.json"), "w") as file:
            file.write('{\n  "capture": %s,\n  "connections": [\n    %s\n  ]\n}\n' % (json.dumps(capture), text))


def certificate(work, name, *more):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650", "-subj", f"/O=shop/CN={name}",
                    "-addext", "subjectAltName=DNS:catalog.shop", *more, "-keyout", f"{work}/{name}.key", "-out", f"{work}/{name}.crt"], check=True, capture_output=True)


def context(version=None, alpn=None, ciphers=None, trust=None, own=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if trust:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(trust)
    if own:
        made.load_cert_chain(own + ".crt", own + ".key")
    if version:
        made.minimum_version = made.maximum_version = version
    if alpn:
        made.set_alpn_protocols(alpn)
    if ciphers:
        made.set_ciphers(ciphers)
    return made


def name_of(cipher):
    """IANA's name of a cipher suite that OpenSSL has its own for."""
    done = subprocess.run(["openssl", "ciphers", "-stdname", "ALL"], check=True, capture_output=True, text=True)
    names = {words[2]: words[0] for words in (line.split() for line in done.stdout.splitlines())}
    return names[cipher]


class Silent:
    """Takes connections, and does with each what it is told: nothing, close, or reset."""

    def __init__(self, port):
        self.socket = socket.create_server((HOST, port))
        self.taken = []
        self.also = None
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                taken, _ = self.socket.accept()
            except OSError:
                return
            self.taken.append(taken)
            if self.also:
                self.also(taken)


def leave(taken):
    """Closes once the hello is there: after half of it has been read it would be a reset."""
    taken.recv(65536)
    taken.close()


def origin():
    """A service that answers after a second."""
    listening = socket.create_server((HOST, 3000))

    def answer(taken):
        with taken:
            taken.recv(65536)
            time.sleep(1)
            try:
                taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntea\n")
            except OSError:
                pass

    def serve():
        while True:
            try:
                taken, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(taken,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


@case("tls-handshakes",
      "TLS 1.2 and 1.3 without keys: full and resumed, a second hello, 0-RTT, client certificates, ALPN; alerts of either side, plain and encrypted, handshakes that a side leaves, and clients that leave while they wait for an answer",
      "Python's ssl and openssl s_client → nginx on ports 8443–8447, openssl s_server on 8448–8450 and sockets that say nothing on 8451", alone=True)
def tls_handshakes(case):
    os.chmod(case.work, 0o755)
    for name in ("server", "client", "stranger"):
        certificate(case.work, name)
    with open(os.path.join(case.work, "nginx.conf"), "w") as config:
        config.write(NGINX.format(work=case.work))
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    case.processes.start(["nginx", "-c", os.path.join(case.work, "nginx.conf"), "-p", case.work], **quiet)
    server = ["openssl", "s_server", "-quiet", "-cert", f"{case.work}/server.crt", "-key", f"{case.work}/server.key"]
    wants = ["-Verify", "1", "-verify_return_error", "-CAfile", f"{case.work}/client.crt", "-www"]
    case.processes.start([*server, "-accept", f"{HOST}:8448", *wants], **quiet)
    case.processes.start([*server, "-accept", f"{HOST}:8449", "-tls1_2", *wants], **quiet)
    case.processes.start([*server, "-accept", f"{HOST}:8450", "-tls1_3", "-alpn", "shop/1", "-www"], **quiet)
    silent = Silent(8451)
    origin()
    for port in range(8443, 8452):
        wait_listening(port)
    told = Handshakes(case)
    case.capture("tcp portrange 8443-8451")
    own, trust = f"{case.work}/client", f"{case.work}/server.crt"
    log, taken = os.path.join(case.work, "tls.log"), 0

    def logged():
        """The next line of nginx's log."""
        nonlocal taken
        wait("nginx's log", lambda: os.path.exists(log) and len(open(log).read().splitlines()) > taken)
        taken += 1
        return json.loads(open(log).read().splitlines()[taken - 1])

    def connect(port, made, sni="catalog.shop", session=None):
        plain = socket.create_connection((HOST, port))
        return made.wrap_socket(plain, server_hostname=sni, session=session, suppress_ragged_eofs=True)

    def ask(client, path="/"):
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: catalog.shop\r\n\r\n".encode())
        return client.recv(65536)

    def good(port, made, alpn=None, session=None, retry=False, requested=None, part=True, **more):
        client = connect(port, made, session=session)
        here = client.getsockname()[1]
        assert ask(client).startswith(b"HTTP/1.1 "), "no answer"
        line = logged()
        assert line["port"] == here and line["sni"] == "catalog.shop", line
        kept, is_1_3 = client.session, client.version() == "TLSv1.3"
        assert line["reused"] == ("r" if client.session_reused else "."), line
        if part:
            client.settimeout(5)
            try:
                client.unwrap()
            except (ssl.SSLError, OSError):
                pass
        client.close()
        wait_closed(port)
        told.add(port, here, version=VERSIONS[line["version"]], sni="catalog.shop", alpn=None if is_1_3 else (line["alpn"] or None), alpn_offered=alpn or [],
                 cipher=name_of(line["cipher"]), resumed=line["reused"] == "r", hello_retry=retry, early_data=False,
                 client_certificate_requested=None if is_1_3 else requested or False,
                 verdict=None, alert=None, close_notify_client=part, **more)
        return kept

    v2, v3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    made = context(v3, ["http/1.1"])
    kept = good(8443, made, ["http/1.1"])
    good(8443, made, ["http/1.1"], session=kept)
    made = context(v2, ["http/1.1"])
    kept = good(8443, made, ["http/1.1"])
    good(8443, made, ["http/1.1"], session=kept)
    good(8443, context(v2, ["h2", "http/1.1"], "ECDHE-ECDSA-CHACHA20-POLY1305"), ["h2", "http/1.1"])
    good(8443, context(v2, None, "ECDHE-ECDSA-AES128-GCM-SHA256"), part=False)
    good(8443, context(v3), part=False)
    good(8444, context(v3), retry=True)
    good(8445, context(v3, own=own), requested=True)
    good(8445, context(v2, own=own), requested=True)

    def refused(port, made, by, description, version=None, sni="catalog.shop", certain=True, **more):
        plain = socket.create_connection((HOST, port))
        here = plain.getsockname()[1]
        client = made.wrap_socket(plain, server_hostname=sni, do_handshake_on_connect=False)
        try:
            client.do_handshake()
            # In TLS 1.3 a client is done before its server has looked at its certificate.
            ask(client)
            raise AssertionError(f"{by} did not refuse")
        except (ssl.SSLError, ConnectionError) as error:
            said = str(error)
        client.close()
        wait_closed(port)
        told.add(port, here, version=version, sni=sni, verdict="tls-failed", alert={"by": by, "description": description}, certain=certain, client_says=said, **more)

    # The server refuses.
    refused(8447, context(v3), "server", "unrecognized_name")
    refused(8446, context(v2), "server", "protocol_version")
    refused(8449, context(v2, ciphers="ECDHE-RSA-AES128-GCM-SHA256"), "server", "handshake_failure")
    refused(8450, context(v3, ["http/1.1"]), "server", "no_application_protocol", alpn_offered=["http/1.1"])
    refused(8449, context(v2), "server", "handshake_failure", version="TLS 1.2", client_certificate_requested=True)
    refused(8449, context(v2, own=f"{case.work}/stranger"), "server", "unknown_ca", version="TLS 1.2", client_certificate_requested=True)
    refused(8448, context(v3), "server", None, version="TLS 1.3", certain=False)
    refused(8448, context(v3, own=f"{case.work}/stranger"), "server", None, version="TLS 1.3", certain=False)
    # The client refuses.
    refused(8443, context(v2, trust=f"{case.work}/stranger.crt"), "client", "unknown_ca", version="TLS 1.2")
    refused(8443, context(v3, trust=f"{case.work}/stranger.crt"), "client", "unknown_ca", version="TLS 1.3")

    # 0-RTT: a session first, and then data with the hello.
    session, request = os.path.join(case.work, "session"), os.path.join(case.work, "request")
    with open(request, "w") as file:
        file.write("GET / HTTP/1.1\r\nHost: catalog.shop\r\nConnection: close\r\n\r\n")
    port = 42001
    for early in (False, True):
        command = ["openssl", "s_client", "-connect", f"{HOST}:8446", "-bind", f"{HOST}:{port}", "-servername", "catalog.shop", "-tls1_3", "-ign_eof"]
        command += ["-sess_in", session, "-early_data", request] if early else ["-sess_out", session]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20, input="" if early else open(request).read())
        line = logged()
        assert line["port"] == port and ("Early data was accepted" in done.stdout) == early, (line, done.stdout)
        told.add(8446, port, version="TLS 1.3", sni="catalog.shop", cipher=line["cipher"], resumed=early, early_data=early, hello_retry=False, verdict=None, alert=None)
        port += 1

    # Handshakes that a side leaves.
    def hello(made):
        """The first that such a client says."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            made.wrap_bio(incoming, outgoing, server_hostname="catalog.shop").do_handshake()
        except ssl.SSLWantReadError:
            return outgoing.read()

    plain = socket.create_connection((HOST, 8451))
    here = plain.getsockname()[1]
    plain.sendall(hello(context(v3)))
    time.sleep(0.3)
    plain.close()
    wait("the other side", lambda: len(silent.taken) == 1)
    silent.taken[0].recv(65536)
    silent.taken[0].close()
    told.add(8451, here, version=None, sni="catalog.shop", verdict="tls-unanswered", closed_by="client", left_after_ms=300, alert=None)
    silent.also = leave
    plain = socket.create_connection((HOST, 8451))
    here = plain.getsockname()[1]
    plain.sendall(hello(context(v2)))
    assert plain.recv(100) == b""
    plain.close()
    told.add(8451, here, version=None, sni="catalog.shop", verdict="tls-failed", closed_by="server", alert=None)
    plain = socket.create_connection((HOST, 8443))
    here = plain.getsockname()[1]
    plain.sendall(hello(context(v3)))
    plain.recv(65536)
    time.sleep(0.2)
    plain.close()
    told.add(8443, here, version="TLS 1.3", sni="catalog.shop", verdict="tls-failed", closed_by="client", left_after_ms=200, alert=None)

    # Clients that wait for an answer no longer.
    for version in (v3, v2):
        for part in (True, False):
            client = connect(8443, context(version))
            here = client.getsockname()[1]
            assert ask(client).startswith(b"HTTP/1.1 200")
            logged()
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: catalog.shop\r\n\r\n")
            time.sleep(0.5)
            if part:
                client.setblocking(False)
                try:
                    client.unwrap()
                except (ssl.SSLWantReadError, ssl.SSLError):
                    pass
            client.close()
            logged()
            told.add(8443, here, version="TLS 1.3" if version == v3 else "TLS 1.2", sni="catalog.shop", verdict="tls-left-waiting", closed_by="client",
                     left_after_ms=500, alert=None, close_notify_client=part, certain=False)
    # One that closes after its answer has left nobody.
    client = connect(8443, context(v3))
    here = client.getsockname()[1]
    assert ask(client).startswith(b"HTTP/1.1 200")
    logged()
    time.sleep(0.3)
    client.close()
    told.add(8443, here, version="TLS 1.3", sni="catalog.shop", verdict=None, closed_by="client", idle_ms=300, alert=None)
    wait_closed(*range(8443, 8452))
    total = len(told.rows)
    case.truth.connections = {"total": total, "tls": total}
    case.finish()
    told.write()
