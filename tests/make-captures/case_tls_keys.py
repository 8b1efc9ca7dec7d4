"""TLS with keys: HTTP/1 and HTTP/2 inside, each cipher suite that authenticates what it encrypts. The keys are in the capture itself."""

import fcntl
import json
import os
import socket
import ssl
import struct
import subprocess
import termios

from case_tls import HOST, certificate, context
from lab import case, wait, wait_closed, wait_listening
from origin import Origin

NGINX = """daemon off; master_process off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/error.log;
events {{ worker_connections 64; }}
http {{ server_tokens off; keepalive_timeout 60s; client_max_body_size 10m;
  client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  log_format tls escape=json '{{"port":$remote_port,"version":"$ssl_protocol","cipher":"$ssl_cipher","reused":"$ssl_session_reused","early":"$ssl_early_data","http":"$server_protocol","method":"$request_method","path":"$request_uri","status":$status}}';
  access_log {work}/tls.log tls;
  ssl_certificate {work}/server.crt; ssl_certificate_key {work}/server.key; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:all:1m; ssl_prefer_server_ciphers off;
  ssl_ciphers ALL:@SECLEVEL=0; ssl_conf_command Ciphersuites {suites};
  server {{ listen 127.0.0.1:8443 ssl http2; location / {{ proxy_pass http://127.0.0.1:3000; }} }}
  server {{ listen 127.0.0.1:8446 ssl; ssl_protocols TLSv1.3; ssl_early_data on; location / {{ proxy_pass http://127.0.0.1:3000; }} }}
}}
"""
SUITES_1_2 = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
              "ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES256-CCM", "ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-AES256-CCM8")
SUITES_1_3 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
              "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256")


def pending(pipe):
    """Bytes in a pipe that nobody has read."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0]


def other_keys(log):
    """A key log with the same sessions and other secrets."""
    words = [line.split() for line in open(log).read().splitlines() if line and not line.startswith("#")]
    return "".join(f"{label} {random} {'5e' * (len(secret) // 2)}\n" for label, random, secret in words)


@case("tls-keys",
      "HTTP/1.1 and HTTP/2 inside of TLS 1.2 and 1.3, with every AEAD suite of OpenSSL, resumed sessions, 0-RTT, key updates, a client certificate, a body of many records and clients that give up; the capture has their keys but for one session, and wrong ones of another",
      "curl, Python's ssl and openssl s_client, each with a key log → nginx on ports 8443 and 8446 → origin; editcap --inject-secrets", alone=True)
def tls_keys(case):
    os.chmod(case.work, 0o755)
    certificate(case.work, "server")
    with open(os.path.join(case.work, "nginx.conf"), "w") as config:
        config.write(NGINX.format(work=case.work, suites=":".join(SUITES_1_3)))
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    case.processes.start(["nginx", "-c", os.path.join(case.work, "nginx.conf"), "-p", case.work], **quiet)
    Origin(HOST, 3000)
    for port in (3000, 8443, 8446):
        wait_listening(port)
    keys, log, taken = os.path.join(case.work, "keys.log"), os.path.join(case.work, "tls.log"), 0
    truth, connections = case.truth, {"total": 0, "tls": 0}
    case.capture("tcp port 8443 or tcp port 8446")

    def logged():
        """The next line of nginx's log."""
        nonlocal taken
        wait("nginx's log", lambda: os.path.exists(log) and len(open(log).read().splitlines()) > taken)
        taken += 1
        return json.loads(open(log).read().splitlines()[taken - 1])

    def count(read=True):
        connections["total"] += 1
        connections["tls"] += not read
        return connections["total"] - 1

    def add(line, number, port=8443, **more):
        """What nginx has logged."""
        if line["status"] == 499:
            more = {"late_status": None, **more}
        truth.add(line["method"], line["path"], "ok" if line["status"] != 499 else "client-gave-up", line["status"] if line["status"] != 499 else None,
                  server=f"{HOST}:{port}", connection=number, **more)

    def curl(paths, *arguments, fails=False):
        urls = [word for path in paths for word in ("-o", "/dev/null", f"https://{HOST}:8443{path}")]
        done = subprocess.run(["curl", "-sk", *arguments, *urls], capture_output=True, text=True, env={**os.environ, "SSLKEYLOGFILE": keys})
        assert (done.returncode == 28) == fails and (fails or not done.returncode), (arguments, done)
        number = count()
        lines = [logged() for _ in paths]
        for line in lines:
            add(line, number)
        return lines

    for suite in SUITES_1_2:
        for line in curl(["/items", "/missing"], "--http1.1", "--tls-max", "1.2", "--ciphers", suite):
            assert line["cipher"] == suite and line["http"] == "HTTP/1.1", line
    for suite in SUITES_1_3:
        for line in curl(["/items", "/unavailable"], "--http1.1", "--tlsv1.3", "--tls13-ciphers", suite):
            assert line["cipher"] == suite, line
    for version in ("1.2", "1.3"):
        for line in curl(["/items", "/chunked", "/missing", "/items?size=50000"], "--http2", "--tls-max", version):
            assert line["http"] == "HTTP/2.0", line
        curl(["/items"], "--http1.1", "--tls-max", version, "--data-binary", "x" * 20000)
        curl(["/items?delay=1500"], "--http1.1", "--tls-max", version, "--max-time", "0.5", fails=True)
    curl(["/items?delay=1500"], "--http2", "--max-time", "0.5", fails=True)

    def connect(made, session=None):
        return made.wrap_socket(socket.create_connection((HOST, 8443)), server_hostname="catalog.shop", session=session)

    def ask(client, path):
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: catalog.shop\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"\n"):
            answer += client.recv(65536)
        return logged()

    def talk(made, session=None, read=True):
        """One request; the session."""
        client = connect(made, session)
        line = ask(client, "/items")
        assert line["reused"] == ("r" if session else "."), line
        number = count(read)
        if read:
            add(line, number)
        kept = client.session
        client.close()
        wait_closed(8443)
        return kept

    # A session that is taken up, one of which the keys are not known, and one of which wrong ones are.
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        made = context(version)
        made.keylog_filename = keys
        talk(made, talk(made))
        talk(context(version), read=False)
        made = context(version)
        made.keylog_filename = os.path.join(case.work, "others.log")
        talk(made, read=False)

    # 0-RTT: a session first, and then a request with the hello.
    session, request = os.path.join(case.work, "session"), os.path.join(case.work, "request")
    with open(request, "w") as file:
        file.write("GET /items HTTP/1.1\r\nHost: catalog.shop\r\nConnection: close\r\n\r\n")
    for early in (False, True):
        command = ["openssl", "s_client", "-connect", f"{HOST}:8446", "-tls1_3", "-ign_eof", "-keylogfile", keys]
        command += ["-sess_in", session, "-early_data", request] if early else ["-sess_out", session]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20, input="" if early else open(request).read())
        assert ("Early data was accepted" in done.stdout) == early, done.stdout
        add(logged(), count(), 8446)

    # Keys that change while the connection goes on.
    client = subprocess.Popen(["openssl", "s_client", "-connect", f"{HOST}:8443", "-tls1_3", "-keylogfile", keys], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    number = count()
    for path in ("/items", "/items?page=2", "/items?page=3"):
        client.stdin.write(f"GET {path} HTTP/1.1\nHost: catalog.shop\n\n".encode())
        client.stdin.flush()
        add(logged(), number)
        # Both sides' change. It has to be read by itself, and what was asked before it.
        client.stdin.write(b"K\n")
        client.stdin.flush()
        wait("openssl to read its command", lambda: not pending(client.stdin))
    client.stdin.close()
    client.wait(10)

    wait_closed(8443, 8446)
    for tcpdump in case.captures:
        tcpdump.finish()
    with open(keys, "a") as file:
        file.write(other_keys(os.path.join(case.work, "others.log")))
    case.run(["editcap", "-F", "pcapng", "--inject-secrets", f"tls,{keys}", case.captures[0].path, os.path.join(case.work, "tls-keys.pcapng")])
    truth.connections = connections
    case.deliver("tls-keys.pcapng")
    truth.write(case.out, "tls-keys.pcapng")
