"""Server-sent events: how many a server sent, and how many comments between them."""

import socket
import subprocess
import threading
import time

from lab import case, wait_closed, wait_listening

HOST, PORT = "127.0.0.1", 3000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-store\r\n"


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def serve(taken):
    """What the server does is what the path says."""
    with taken:
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        path = taken.recv(65536).split(b" ")[1]
        until_close = path == b"/until-close"
        taken.sendall(HEAD + (b"Connection: close\r\n\r\n" if until_close else b"Transfer-Encoding: chunked\r\n\r\n"))

        def say(data):
            taken.sendall(data if until_close else chunk(data))
        try:
            say(b"retry: 1000\n\n: welcome\n")
            for number in range(5):
                time.sleep(0.03)
                say(f"id: {number}\ndata: tea\n".encode())
                say(b"data: for two\n\n: beat\n\n")
            if path == b"/silent":
                # Until the client leaves.
                taken.recv(1)
            elif path == b"/cut":
                say(b"data: half an ev")
            elif not until_close:
                taken.sendall(b"0\r\n\r\n")
        except OSError:
            pass


@case("event-stream",
      "Server-sent events in chunks and up to the server's FIN, with comments that keep the stream alive; one that the server cuts, and one on which the client leaves after 0.5 s of silence",
      "curl → a server on plain sockets on port 3000", alone=True)
def event_stream(case):
    listener = socket.create_server((HOST, PORT))

    def accept():
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(taken,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    wait_listening(PORT)
    case.truth.server = f"{HOST}:{PORT}"
    case.capture(f"tcp port {PORT}")
    # The first block has no data: browsers make no event of it.
    for number, (path, verdict, status) in enumerate((("/chunked", "ok", 0), ("/until-close", "ok", 0), ("/cut", "server-truncated-response", 18),
                                                      ("/silent", "client-gave-up-mid-response", 28))):
        more = ["--max-time", "0.7"] if path == "/silent" else []
        done = subprocess.run(["curl", "-sN", "--http1.1", *more, f"http://{HOST}:{PORT}{path}"], stdout=subprocess.DEVNULL, check=False)
        assert done.returncode == status, (path, done.returncode)
        case.truth.add("GET", path, verdict, 200, connection=number, event_stream=[5, 6])
    wait_closed(PORT)
    case.truth.connections = {"total": 4}
    case.finish()
