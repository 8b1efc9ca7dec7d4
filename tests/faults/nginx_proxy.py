"""One nginx with a server for each of its situations, and what its logs mean."""

import json
import os
import re
import subprocess

from bench import Leg, Truth, wait_all_listening
from envoy import Tls

LOG = (
    '{"status":$status,"upstream_status":"$upstream_status","request_id":"$http_x_request_id",'
    '"port":$server_port,"bytes":$bytes_sent,"seconds":$request_time,"upstream":"$upstream_addr",'
    '"header":"$upstream_header_time"}'
)
# Statuses of nginx's own that nobody is sent.
UNSENT = {499, 444}
# And those that it sends as a 400.
BAD_REQUEST = {494, 495, 496, 497}


class Nginx:
    def __init__(self, work, processes, binary, rows, name):
        self.work, self.log = work, os.path.join(work, f"{name}.log.jsonl")
        path = os.path.join(work, "nginx.conf")
        with open(path, "w") as file:
            file.write(self.config(rows))
        errors = os.path.join(work, "nginx.stderr")
        with open(errors, "wb") as said:
            self.child = processes.start(
                [binary, "-c", path, "-e", errors, "-p", work],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        wait_all_listening(self.child, errors, rows)

    def errors_of(self, row):
        return os.path.join(self.work, f"nginx.{row.name}.error")

    def config(self, rows):
        places = "".join(
            f"{kind}_temp_path {self.work}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        servers = "\n".join(self.server(row) for row in rows)
        return (
            f"daemon off;\nworker_processes 1;\nuser root;\npid {self.work}/nginx.pid;\n"
            f"events {{ worker_connections 1024; }}\nhttp {{\n{places}"
            f"log_format faults escape=json '{LOG}';\naccess_log {self.log} faults;\n"
            f"limit_req_zone $server_port zone=one:1m rate=1r/m;\n{servers}\n}}\n"
        )

    def server(self, row):
        options = row.options
        location = options.get("location") or (
            f"proxy_pass http://127.0.0.1:{row.upstream_port}; proxy_http_version 1.1; "
            f"proxy_set_header Connection ''; proxy_buffering off; {options.get('proxy', '')}"
        )
        listen = options.get("listen", "")
        if options.get("tls"):
            made = Tls(self.work)
            listen += f" ssl; ssl_certificate {made.work}/gateway.crt"
            listen += f"; ssl_certificate_key {made.work}/gateway.key"
        return (
            f"server {{ listen 127.0.0.1:{row.port}{listen}; "
            f"error_log {self.errors_of(row)} info; {options.get('server', '')}\n"
            f"  location / {{ {location} }} }}"
        )

    def lines(self, row):
        found = []
        try:
            with open(self.log, errors="replace") as file:
                found = [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            pass
        found = [one for one in found if one["port"] == row.port]
        return [one for one in found if one["request_id"] == row.id] or found

    def error(self, row):
        """What the error log says of the request."""
        try:
            with open(self.errors_of(row), errors="replace") as file:
                lines = [
                    line.split(": *", 1)[-1].split(", client:")[0].strip()
                    for line in file
                    if ": *" in line
                ]
        except FileNotFoundError:
            return ""
        lines = [
            re.sub(r"^\d+ ", "", line)
            for line in lines
            if "closed keepalive connection" not in line
        ]
        return lines[-1] if lines else ""

    def is_meant(self, row, line):
        return line["status"] == row.want["status"] and row.want.get("error", "") in self.error(row)

    def truth(self, row, line):
        status, error = line["status"], self.error(row)
        sent = (
            None
            if status in UNSENT or line["bytes"] == 0
            else 400 if status in BAD_REQUEST else status
        )
        # An upstream that has not sent a head is given nginx's own status in the log.
        began = re.match(r"\d", line["header"]) and "while reading response header" not in error
        asked = line["upstream"] not in ("", "-")
        down, up = Leg(status=sent), Leg()
        if sent is None:
            down.closed = "client" if status == 499 else "server"
        # A 400 of a request that was passed on is nginx's word for a client that left inside it.
        left = status == 400 and asked
        if (
            status == 499
            or left
            or "client prematurely closed connection" in error
            or "writev() failed" in error
        ):
            down.closed = up.closed = "client"
        elif "while connecting to upstream" in error:
            up = "connect"
        elif "upstream timed out" in error:
            up.closed = "client"
            down.closed = "server" if "while reading upstream" in error else None
        elif (
            "upstream prematurely closed" in error
            or "Connection reset by peer" in error
            and "upstream" in error
        ):
            up.closed = "server"
            down.closed = "server" if "while reading upstream" in error else None
        elif "upstream sent" in error:
            up.closed = "server"
        elif "client timed out" in error:
            down.closed = "server"
            up.closed = "client"  # Where one was asked.
        if not asked and not isinstance(up, str):
            up = None
        # Below 500 its pages are those of any server that is nginx.
        down.own = (sent in (502, 504) or None) if not began else False
        words = (str(status),) if not (status < 400 and not error) else ()
        return Truth(
            said=f"{status} {error}", down=down, up=up, ms=line["seconds"] * 1000, words=words
        )
