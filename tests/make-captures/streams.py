"""The truth about HTTP/2, stream by stream, as those who had the streams know it: NAME.truth.json.

What is not known is null. Who knows what:

- the client's port, `connection`: the client itself, or the server's log;
- the stream's number: the programs that speak HTTP/2 themselves, or print it (nghttp). Where a library keeps it to itself, it is
  counted: clients number their streams 1, 3, 5, … in the order in which they open them.
"""

import json
import os

ERRORS = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
          "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED")


class Streams:
    def __init__(self, case, server):
        self.case, self.server, self.rows, self.connections = case, server, [], []

    def connection(self, port, server=None, **more):
        """What happened to a connection as a whole: `goaway`, `ended`, `settings`, `pings`, `note`."""
        self.connections.append({"server": server or self.server, "connection": port, **more})

    def add(self, connection, stream, method, path, status=None, verdict=None, expect=None, reset=None, **more):
        """One stream, in the order in which the requests began. `reset` is (side, code); `expect` has further keys of the
        exchange in NAME.expect.json."""
        row = {"server": more.pop("server", self.server), "connection": connection, "stream": stream, "method": method, "path": path, "status": status}
        if reset:
            side, code = reset
            row["reset"] = {"by": side, "code": ERRORS[code] if isinstance(code, int) else code}
        row.update(more)
        self.rows.append(row)
        if verdict:
            expect = dict(expect or {})
            if "note" in more:
                expect.setdefault("note", more["note"])
            self.case.truth.add(method, path, verdict, status, server=row["server"], **expect)
        return row

    def grpc(self, connection, stream, path, status, grpc_status, grpc_message=None, messages=(None, None), verdict="ok", **more):
        """One call. `grpc_status` is what the server sent, null if it sent none; `messages` are those that went to the server
        and those that came back."""
        service, _, method = path.strip("/").rpartition("/")
        return self.add(connection, stream, "POST", path, status, verdict, grpc_service=service, grpc_method=method, grpc_status=grpc_status,
                        grpc_message=grpc_message, messages_request=messages[0], messages_response=messages[1], **more)

    def write(self, capture=None):
        def lines(rows):
            text = ",\n    ".join(json.dumps(row, ensure_ascii=False) for row in rows)
            return f"[\n    {text}\n  ]" if rows else "[]"
        capture = capture or os.path.basename(self.case.captures[0].path)
        with open(os.path.join(self.case.out, self.case.name + ".truth.json"), "w") as file:
            file.write('{\n  "capture": %s,\n  "connections": %s,\n  "streams": %s\n}\n' % (json.dumps(capture), lines(self.connections), lines(self.rows)))
