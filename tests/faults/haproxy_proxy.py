"""One HAProxy with a frontend and a backend for each of its situations, and what its log means."""

import json
import os
import socket
import subprocess
import threading

from bench import Leg, Truth, wait_all_listening

LOG = (
    '{"status":%ST,"state":"%ts","frontend":"%f","server":"%s","bytes":%B,'
    '"request_id":"%[capture.req.hdr(0)]",'
    '"ms":%Ta,"timers":"%TR/%Tw/%Tc/%Tr/%Ta"}'
)
DEFAULTS = (
    "timeout connect 1s",
    "timeout client 20s",
    "timeout server 5s",
    "timeout http-request 20s",
    "timeout http-keep-alive 20s",
    "retries 0",
    "option abortonclose",
)


class Haproxy:
    def __init__(self, work, processes, binary, rows, name):
        self.rows = {f"f{row.number}": row for row in rows}
        self.logged = []
        # Its log comes as datagrams, never through the network that is captured.
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.path.join(work, "haproxy.log"))
        threading.Thread(target=self.receive, daemon=True).start()
        path = os.path.join(work, "haproxy.cfg")
        with open(path, "w") as file:
            file.write(self.config(work, rows))
        errors = os.path.join(work, "haproxy.stderr")
        with open(errors, "wb") as said:
            self.child = processes.start(
                [binary, "-db", "-f", path], stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        wait_all_listening(self.child, errors, rows)

    def receive(self):
        while True:
            text = self.socket.recv(65536).decode("latin-1")
            if "{" in text:
                self.logged.append(json.loads(text[text.index("{") :].strip().strip("\0")))

    def config(self, work, rows):
        text = f"global\n  log {work}/haproxy.log len 8192 local0\n  nbthread 1\n"
        text += "defaults\n  mode http\n  log global\n" + "".join(
            f"  {line}\n" for line in DEFAULTS
        )
        for row in rows:
            options = row.options
            bind = options.get("bind", "")
            text += f"frontend f{row.number}\n  bind 127.0.0.1:{row.port} {bind}\n"
            text += f"  log-format '{LOG}'\n  declare capture request len 80\n"
            text += "  http-request capture req.hdr(x-request-id) id 0\n"
            text += "".join(f"  {line}\n" for line in options.get("frontend", ()))
            text += f"  default_backend b{row.number}\nbackend b{row.number}\n"
            text += "".join(f"  {line}\n" for line in options.get("backend", ()))
            if row.upstream != "empty":
                text += (
                    f"  server origin 127.0.0.1:{row.upstream_port} {options.get('server', '')}\n"
                )
        return text

    def lines(self, row):
        found = [
            one for one in list(self.logged) if one["frontend"].rstrip("~") == f"f{row.number}"
        ]
        return [one for one in found if one["request_id"] == row.id] or found

    def is_meant(self, row, line):
        return all(line[key] == want for key, want in row.want.items())

    def truth(self, row, line):
        status, state = line["status"], line["state"]
        sent = status if status > 0 else None
        asked = line["server"] not in ("<NOSRV>", "-")
        down, up, who, when = Leg(status=sent), Leg(), state[0], state[1]
        if who == "C":
            # Whatever it would have said, nobody was there to hear it.
            down.status = sent if when in "DL" else None
            down.closed = up.closed = "client"
        elif who == "c":
            # It no longer waits for its client: an answer of its own, or the end of both sides.
            down.closed, up.closed = (None if when == "R" else "server"), "client"
        elif who in "sS":
            up.closed = "client" if who == "s" else "server"
            down.closed = "server" if when == "D" else None
            if when == "C" and asked:
                up = "connect"
        elif who == "P" and when in "HD":
            up.closed = "server"
            down.closed = "server" if when == "D" else None
        if sent is None and down.closed is None:
            down.closed = "server"
        if not asked and not isinstance(up, str):
            up = None
        # What it was configured to answer looks like anybody's.
        own = None if down.status is None or who == "L" else who != "-" and when != "D"
        return Truth(
            said=f"{status} {state}-- {line['timers']}",
            down=Leg(down.status, down.closed, None, own),
            up=up,
            ms=line["ms"] if line["ms"] >= 0 else None,
            words=(state,) if state != "--" else (),
        )
