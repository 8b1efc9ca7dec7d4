"""WebSocket: what frames went, and how each connection ended, as the two ends know it: NAME.websocket.json."""

import asyncio
import json
import logging
import os
import socket
import struct
import subprocess

from case_http2 import H2
from lab import case, wait_closed, wait_listening

HOST = "127.0.0.1"
PLAIN, STRICT, PROXY = 8765, 8766, 8080
PACKAGES = ("websockets==15.0.1",)
KINDS = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
NGINX = """daemon off; master_process off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/error.log;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  server {{ listen 127.0.0.1:8080; location / {{ proxy_pass http://127.0.0.1:8765; proxy_http_version 1.1; proxy_read_timeout 1200ms;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }} }}
}}
"""


class Sent(logging.Handler):
    """What the library says of each frame that it sends: "> TEXT …"."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.frames = {}

    def emit(self, record):
        if record.msg != "> %s" or not hasattr(record.args[0], "opcode"):
            return
        ends = record.websocket.transport.get_extra_info("sockname"), record.websocket.transport.get_extra_info("peername")
        kinds = self.frames.setdefault((ends[0][1], ends[1][1]), dict.fromkeys(KINDS.values(), 0))
        kinds[KINDS[int(record.args[0].opcode)]] += 1

    def logger(self, name):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(self)
        return logger


class Tunnels:
    """The truth, a row for each connection in the order in which they were made."""

    def __init__(self, case):
        self.case, self.rows, self.sent = case, [], Sent()

    def add(self, path, connection, server=PLAIN, method="GET", status=101, **what):
        self.case.truth.add(method, path, "upgraded", status, server=f"{HOST}:{server}", connection=connection, findings=what.pop("findings", []))
        self.rows.append({"path": path, "server": f"{HOST}:{server}", "connection": connection, **what})

    def write(self, capture=None):
        capture = capture or os.path.basename(self.case.captures[0].path)
        for row in self.rows:
            server, client = int(row["server"].split(":")[1]), row["connection"]
            for side, key in (("client", (client, server)), ("server", (server, client))):
                kinds = self.sent.frames.get(key)
                if kinds and side not in row.get("frames", {}):
                    row.setdefault("frames", {})[side] = {kind: count for kind, count in kinds.items() if count}
        text = ",\n    ".join(json.dumps(row, ensure_ascii=False) for row in self.rows)
        with open(os.path.join(self.case.out, self.case.name + ".websocket.json"), "w") as file:
            file.write('{\n  "capture": %s,\n  "connections": [\n    %s\n  ]\n}\n' % (json.dumps(capture), text))


async def serve(websocket):
    """What the server does is what the path says."""
    match websocket.request.path:
        case "/going-away":
            await websocket.recv()
            await websocket.close(1001, "the server stops")
        case "/crash":
            await websocket.recv()
            raise RuntimeError("no room")
        case "/parts":
            await websocket.recv()
            await websocket.send([b"one ", b"two ", b"three"])
            await websocket.send(bytes(range(256)) * 258)
            await websocket.recv()
        case "/pings":
            for payload in (b"", b"how are you"):
                await (await websocket.ping(payload))
            await websocket.wait_closed()
        case "/hangs-up":
            await websocket.recv()
            websocket.transport.close()
        case _:
            async for message in websocket:
                await websocket.send(message)


def raw(port, path):
    """A client that has had its 101 and reads no frame."""
    client = socket.create_connection((HOST, port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bWFrZS1jYXB0dXJlcy0xNg==\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return client


async def scenario(case, told):
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import serve as listen

    logger = told.sent.logger("frames")
    quiet = {"logger": logger, "close_timeout": 2, "max_size": 100_000}
    # The library logs the exception of the handler that fails on purpose.
    await listen(serve, HOST, PLAIN, ping_interval=None, **{**quiet, "max_size": 20_000})
    await listen(serve, HOST, STRICT, ping_interval=0.3, ping_timeout=1.1, **{**quiet, "close_timeout": 0.3})
    wait_listening(PROXY)
    case.capture(f"tcp port {PLAIN} or tcp port {STRICT} or tcp port {PROXY}")

    async def client(path, server=PLAIN, compression=None):
        made = await connect(f"ws://{HOST}:{server}{path}", ping_interval=None, proxy=None, compression=compression, **quiet)
        return made, made.transport.get_extra_info("sockname")[1]

    async def echo(made, *messages):
        for message in messages:
            await made.send(message)
            assert await made.recv() == message

    made, port = await client("/chat")
    await echo(made, "hello", "GET /not-a-request HTTP/1.1\r\n\r\n", b"\x00" * 200)
    await made.close()
    told.add("/chat", port, closed_by="client", close_code=1000, close_reason=None, close_answered=True)
    made, port = await client("/parts")
    await made.send(["a ", "message ", "in ", "parts"])
    for _ in range(2):
        await made.recv()
    await made.send("enough")
    await made.wait_closed()
    told.add("/parts", port, closed_by="server", close_code=1000, close_reason=None, close_answered=True)
    made, port = await client("/compressed", compression="deflate")
    await echo(made, "tea " * 500, "tea", "tea")
    await made.close(reason="enough tea")
    told.add("/compressed", port, compressed=[3, 3], closed_by="client", close_code=1000, close_reason="enough tea", close_answered=True)
    made, port = await client("/pings")
    for payload in (b"1", b"2", b""):
        await (await made.ping(payload))
    await asyncio.sleep(0.7)
    await made.close()
    told.add("/pings", port, silent_ms=700, closed_by="client", close_code=1000, close_reason=None, close_answered=True)
    made, port = await client("/going-away")
    await made.send("what now?")
    await made.wait_closed()
    told.add("/going-away", port, closed_by="server", close_code=1001, close_reason="the server stops", close_answered=True, findings=["websocket-close-code"])
    made, port = await client("/crash")
    await made.send("order")
    await made.wait_closed()
    told.add("/crash", port, closed_by="server", close_code=1011, close_reason=None, close_answered=True, findings=["websocket-close-code"])
    made, port = await client("/own-code")
    await made.close(4001, "genug für heute")
    told.add("/own-code", port, closed_by="client", close_code=4001, close_reason="genug für heute", close_answered=True, findings=["websocket-close-code"])
    made, port = await client("/too-big")
    await made.send(b"x" * 20_001)
    await made.wait_closed()
    assert made.close_code == 1009
    told.add("/too-big", port, closed_by="server", close_code=1009, close_reason=made.close_reason, close_answered=True, findings=["websocket-close-code"])
    # Deaths without a Close.
    made, port = await client("/reset")
    await echo(made, "hello")
    made.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    made.transport.abort()
    told.add("/reset", port, closed_by=None, ended_by="client", findings=["websocket-no-close"])
    made, port = await client("/hangs-up")
    await made.send("hello?")
    await made.wait_closed()
    # The library logs a Close of the server's, too, that it had nothing left to send with.
    told.add("/hangs-up", port, closed_by=None, ended_by="server", frames={"server": {}}, findings=["websocket-no-close"])
    # A client that is gone for all the server can tell: it answers no Ping, and not the Close.
    loop = asyncio.get_running_loop()
    client_socket = await loop.run_in_executor(None, raw, STRICT, "/no-pong")
    port = client_socket.getsockname()[1]
    await asyncio.sleep(2.2)
    client_socket.close()
    told.add("/no-pong", port, STRICT, closed_by="server", close_code=1011, close_reason="keepalive ping timeout", close_answered=False, ended_by="server",
             frames={"client": {}}, findings=["websocket-no-close", "websocket-close-code", "ping-unanswered"])
    # A proxy's timer.
    made, port = await client("/idle", PROXY)
    await echo(made, "hello")
    await made.wait_closed()
    told.add("/idle", port, PROXY, closed_by=None, ended_by="server", silent_ms=1200, findings=["websocket-no-close"])
    [behind] = [key[1] for key in told.sent.frames if key[0] == PLAIN and (key[1], PLAIN) not in told.sent.frames]
    told.add("/idle", behind, PLAIN, closed_by=None, ended_by="client", silent_ms=1200, findings=["websocket-no-close"])
    for row in told.rows[-2:]:
        row["frames"] = {"client": {"text": 1}, "server": {"text": 1}}
    wait_closed(PLAIN, STRICT, PROXY)
    # One that is still open when the capture ends.
    made, port = await client("/open")
    await echo(made, "hello")
    told.add("/open", port, closed_by=None)
    case.truth.connections = {"total": len(told.rows)}
    case.finish()
    told.write()
    made.transport.abort()


@case("websocket",
      "WebSocket: messages in parts, compressed ones, pings; closes with 1000, 1001, 1009, 1011 and a code of the application's; deaths by RST and by FIN without a Close, a client that answers no Ping, and a proxy's timer on an idle tunnel",
      "client and server on the Python library websockets, on ports 8765 and 8766, and nginx before it on port 8080", packages=PACKAGES, alone=True)
def websocket(case):
    os.chmod(case.work, 0o755)
    with open(os.path.join(case.work, "nginx.conf"), "w") as config:
        config.write(NGINX.format(work=case.work))
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    case.processes.start(["nginx", "-c", os.path.join(case.work, "nginx.conf"), "-p", case.work], **quiet)
    asyncio.run(scenario(case, Tunnels(case)))


NGHTTPX, FRONT = 3000, 8080


def stream_frames(client, stream):
    """The frames that have come on a stream: (opcode, payload)."""
    data, frames = client.streams[stream].data, []
    while len(data) >= 2:
        size, at = data[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        if len(data) < at + size:
            break
        frames.append((data[0] & 0xF, data[at:at + size]))
        data = data[at + size:]
    return frames


async def serve_streams(case, told):
    from websockets.asyncio.server import serve as listen

    await listen(serve, HOST, NGHTTPX, logger=told.sent.logger("frames"), ping_interval=None, close_timeout=2)
    case.processes.start(["nghttpx", "--conf=/dev/null", f"--frontend={HOST},{FRONT};no-tls", f"--backend={HOST},{NGHTTPX}", "--workers=1",
                          f"--errorlog-file={case.work}/nghttpx.log"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_listening(FRONT)
    case.capture(f"tcp port {FRONT}")
    await asyncio.get_running_loop().run_in_executor(None, speak_streams, told)
    case.truth.connections = {"total": 1}
    case.finish()
    told.write()


def speak_streams(told):
    from http2_ends import Client
    from websockets.frames import Frame, Opcode

    client = Client(port=FRONT)

    def opened(path):
        stream = client.request("CONNECT", path, end=False, protocol="websocket", sec_websocket_version="13")
        client.wait("the answer", lambda: client.streams[stream].status)
        assert client.streams[stream].status == 200, client.streams[stream].headers
        return stream

    def send(stream, opcode, payload, fin=True, end=False):
        client.data(stream, Frame(opcode, payload, fin).serialize(mask=True), end=end)

    def got(stream, count):
        client.wait(f"{count} frames", lambda: len(stream_frames(client, stream)) >= count)
        return stream_frames(client, stream)

    def counted(frames):
        kinds = [KINDS[opcode] for opcode, _ in frames]
        return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}

    def add(path, stream, sent, **what):
        told.add(path, client.port, FRONT, "CONNECT", 200, stream=stream, frames={"client": sent, "server": counted(stream_frames(client, stream))}, **what)

    chat, parts = opened("/chat"), opened("/parts")
    send(chat, Opcode.TEXT, b"hello")
    assert got(chat, 1) == [(1, b"hello")]
    send(parts, Opcode.TEXT, b"in ", fin=False)
    send(chat, Opcode.BINARY, bytes(300))
    send(parts, Opcode.CONT, b"parts")
    got(chat, 2)
    got(parts, 5)
    send(parts, Opcode.TEXT, b"enough")
    assert got(parts, 6)[-1] == (8, b"\x03\xe8")
    send(parts, Opcode.CLOSE, b"\x03\xe8", end=True)
    client.answer(parts)
    send(chat, Opcode.CLOSE, b"\x03\xe8bye", end=True)
    got(chat, 3)
    client.answer(chat)
    add("/chat", chat, {"text": 1, "binary": 1, "close": 1}, closed_by="client", close_code=1000, close_reason="bye", close_answered=True)
    add("/parts", parts, {"text": 2, "continuation": 1, "close": 1}, closed_by="server", close_code=1000, close_reason=None, close_answered=True)
    crash = opened("/crash")
    send(crash, Opcode.TEXT, b"order")
    assert got(crash, 1)[0][1][:2] == b"\x03\xf3"
    send(crash, Opcode.CLOSE, b"\x03\xf3", end=True)
    client.answer(crash)
    add("/crash", crash, {"text": 1, "close": 1}, closed_by="server", close_code=1011, close_reason=None, close_answered=True, findings=["websocket-close-code"])
    reset = opened("/reset")
    send(reset, Opcode.TEXT, b"hello")
    got(reset, 1)
    client.reset_stream(reset, 8)
    add("/reset", reset, {"text": 1}, closed_by=None, ended_by="client", findings=["websocket-no-close"])
    gone = opened("/hangs-up")
    send(gone, Opcode.TEXT, b"hello?")
    client.answer(gone)
    add("/hangs-up", gone, {"text": 1}, closed_by=None, ended_by="server", findings=["websocket-no-close"])
    client.close()


@case("websocket-http2",
      "WebSocket on streams of HTTP/2 (RFC 8441), two at once on one connection: closes with 1000 and 1011, a RST_STREAM, and a server that hangs up without a Close",
      "client on the Python library h2 → nghttpx on port 8080 → server on the library websockets", packages=(*PACKAGES, *H2), alone=True)
def websocket_http2(case):
    asyncio.run(serve_streams(case, Tunnels(case)))
