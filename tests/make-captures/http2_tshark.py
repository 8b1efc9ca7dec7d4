#!/usr/bin/env python3
"""What tshark sees of HTTP/2 in a capture, a line of JSON for each stream: http2_tshark.py [--compare] CAPTURE

A second witness beside NAME.truth.json, from which it takes the ports of servers (else 8080, 3000, 50051, 50052); with --compare it prints
where the two differ instead, and fails if they do. Keys: `server` (its port), `connection` (the client's), `stream`, `method`,
`path`, `status` (the final one; `interim` has the others, `late_status` what came after the client's RST_STREAM), `grpc_status` and
`grpc_message` (as on the wire, percent-encoded),
`messages_request` and `messages_response` (gRPC's), `data_request` and `data_response` (bytes of DATA without padding), `first` and
`last` (seconds from the capture's first frame), `first_response`, `resets` (by whom, which code, in their order), `ended` (who sent
END_STREAM), `pushed_by`. Stream 0 has `goaway`, `pings` (sent, answered, by side) and `settings`.

What tshark 4.0 gets wrong or does not do, as far as these captures show it:

- On a port that it does not take for HTTP's (8080 is one, 3000 and 50051 are not) it does not find HTTP/2 by the preface: it is told
  the ports with `-d`. So told it does not see HTTP/1.1 there, so where a capture has both on a port (http2-upgrade, grpc-web-envoy)
  it is not told; a connection joined there would be missed, and is mere TCP.
- After an upgrade it has no request for stream 1, which was HTTP/1.1: method and path are null here.
- Header fields that refer to table entries from before the capture are left out without a word: method and path are null, other
  fields are missing. Later references to entries that were seen are right.
- Fields of a packet with several frames come out of `-T fields` as flat lists that cannot be told apart by stream: this script reads
  PDML, in which they are nested.
- gRPC messages stand in the frame in which they end. gRPC-Web's over HTTP/2 are counted, its status in the body's last frame is not
  read; Connect is bytes.
- It says nothing about a stream as a whole: which of two resets was the first, or that HEADERS came after the client's RST_STREAM (as
  they do in grpc-python when the deadline is over), is left to who reads the frames.
"""

import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from urllib.parse import unquote

ERRORS = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
          "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED")
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 9
END_STREAM, ACK = 1, 1
SIDES = ("client", "server")


def truth_of(capture):
    try:
        with open(os.path.splitext(capture)[0] + ".truth.json") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def only_http2(capture, port):
    """Whether no connection to this port begins as something else than HTTP/2."""
    done = subprocess.run(["tshark", "-r", capture, "-Y", f"tcp.dstport=={port} && (tcp.flags.syn==1 || tcp.len>0)", "-T", "fields",
                           "-e", "tcp.stream", "-e", "tcp.payload"], capture_output=True, text=True)
    begun, first = set(), {}
    for line in done.stdout.splitlines():
        connection, _, payload = line.partition("\t")
        if payload:
            first.setdefault(connection, payload)
        else:
            begun.add(connection)
    return all(first[connection].startswith(b"PRI * ".hex()) for connection in begun & set(first))


def without_tls(capture, folder):
    """The capture, or one without connections that begin with TLS: HTTP/2 is looked for by ports, and both may have the same."""
    hello = "tcp.payload[0:2] == 16:03 && tcp.seq == 1"
    done = subprocess.run(["tshark", "-r", capture, "-Y", hello, "-T", "fields", "-e", "tcp.stream"], capture_output=True, text=True)
    found = sorted(set(done.stdout.split()))
    if not found:
        return capture
    rest = os.path.join(folder, "rest.pcapng")
    subprocess.run(["tshark", "-r", capture, "-Y", f"not tcp.stream in {{{', '.join(found)}}}", "-w", rest], check=True, stderr=subprocess.DEVNULL)
    return rest


def shown(element, name, default=None):
    for field in element.iter("field"):
        if field.get("name") == name:
            return field.get("show")
    return default


def number(text):
    return int(text, 0) if text else 0


def headers(frame):
    for field in frame.iter("field"):
        if field.get("name") == "http2.header":
            yield shown(field, "http2.header.name", ""), shown(field, "http2.header.value", "")


class Witness:
    def __init__(self, ports):
        self.ports, self.streams = ports, {}

    def stream(self, server, client, stream):
        key = (server, client, stream)
        if key not in self.streams:
            self.streams[key] = {"server": server, "connection": client, "stream": stream}
            if stream:
                self.streams[key].update(method=None, path=None, status=None, grpc_status=None, grpc_message=None, messages_request=0, messages_response=0,
                                         data_request=0, data_response=0, first=None, first_response=None, last=None, resets=[], ended=[])
        return self.streams[key]

    def packet(self, packet):
        layers = list(packet)
        frame = next(layer for layer in layers if layer.get("name") == "frame")
        tcp = next(layer for layer in layers if layer.get("name") == "tcp")
        time = round(float(shown(frame, "frame.time_relative")), 6)
        source, destination = int(shown(tcp, "tcp.srcport")), int(shown(tcp, "tcp.dstport"))
        side = 0 if destination in self.ports else 1
        server, client = (destination, source) if side == 0 else (source, destination)
        carrier = None
        for layer in layers:
            if layer.get("name") == "http2":
                for field in layer.iter("field"):
                    if field.get("name") == "http2.stream":
                        carrier = self.frame(field, time, side, server, client) or carrier
            elif layer.get("name") == "grpc" and carrier is not None:
                kinds = [number(field.get("show")) for field in layer.iter("field") if field.get("name") == "grpc.frame_type"]
                carrier["messages_" + ("request", "response")[side]] += kinds.count(0)

    def frame(self, frame, time, side, server, client):
        if shown(frame, "http2.type") is None:    # the preface
            return None
        kind, flags, which = number(shown(frame, "http2.type")), number(shown(frame, "http2.flags")), number(shown(frame, "http2.streamid"))
        stream = self.stream(server, client, which)
        if not which:
            self.connection(stream, frame, kind, flags, side)
            return None
        stream["first"] = time if stream["first"] is None else stream["first"]
        if kind in (DATA, HEADERS, RST_STREAM):
            stream["last"] = time
            if side and stream["first_response"] is None and kind != RST_STREAM:
                stream["first_response"] = time
        if kind in (HEADERS, CONTINUATION):
            for name, value in headers(frame):
                if name == ":status" and value.startswith("1"):
                    stream.setdefault("interim", []).append(int(value))
                elif name == ":status":
                    late = "late_" if {"by": "client"}.items() <= (stream["resets"] or [{}])[0].items() else ""
                    stream[late + "status"] = int(value)
                elif name in (":method", ":path") and not side:
                    stream[name[1:]] = value
                elif name == ":authority" and not side:
                    stream["authority"] = value
                elif name.startswith("grpc-") and "late_status" in stream:
                    pass
                elif name == "grpc-status":
                    stream["grpc_status"] = int(value)
                elif name == "grpc-message":
                    stream["grpc_message"] = value
        elif kind == DATA:
            size = number(shown(frame, "http2.length"))
            if shown(frame, "http2.pad_length") is not None:
                size -= 1 + number(shown(frame, "http2.pad_length"))
            stream["data_" + ("request", "response")[side]] += size
        elif kind == RST_STREAM:
            stream["resets"].append({"by": SIDES[side], "code": ERRORS[number(shown(frame, "http2.rst_stream.error"))]})
        elif kind == PUSH_PROMISE:
            promised = self.stream(server, client, number(shown(frame, "http2.push_promise.promised_stream_id")))
            promised.update(pushed_by=which, first=time, last=time)
            for name, value in headers(frame):
                if name in (":method", ":path"):
                    promised[name[1:]] = value
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            stream["ended"].append(SIDES[side])
        return stream if kind == DATA else None

    def connection(self, stream, frame, kind, flags, side):
        if kind == GOAWAY:
            stream.setdefault("goaway", []).append({"by": SIDES[side], "code": ERRORS[number(shown(frame, "http2.goaway.error"))],
                                                    "last_stream": number(shown(frame, "http2.goaway.last_stream_id"))})
        elif kind == PING:
            pings = stream.setdefault("pings", {by: {"sent": 0, "answered": 0} for by in SIDES})
            if flags & ACK:
                pings[SIDES[1 - side]]["answered"] += 1
            else:
                pings[SIDES[side]]["sent"] += 1
        elif kind == SETTINGS and not flags & ACK:
            entries = [field for field in frame.iter("field") if field.get("name") == "http2.settings"]
            stream.setdefault("settings", {}).setdefault(SIDES[side], []).append(
                {name: number(field.get("show")) for entry in entries for field in entry.iter("field")
                 if (name := field.get("name", "").removeprefix("http2.settings.")) not in ("http2.settings", "id", "unknown") and field.get("name").startswith("http2.settings.")})


def witness(capture, truth):
    servers = [entry["server"] for entry in truth["connections"] + truth["streams"]] if truth else []
    ports = sorted({int(server.rsplit(":", 1)[1]) for server in servers}) or [3000, 8080, 50051, 50052]
    told = [option for port in ports if only_http2(capture, port) for option in ("-d", f"tcp.port=={port},http2")]
    with subprocess.Popen(["tshark", "-r", capture, *told, "-Y", "http2", "-T", "pdml"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tshark:
        seen = Witness(ports)
        for _, element in ElementTree.iterparse(tshark.stdout):
            if element.tag == "packet":
                seen.packet(element)
                element.clear()
    return seen.streams


def compare(truth, streams):
    """A line for each thing that differs. What either of the two does not know is no difference."""
    found = []
    for row in truth["streams"]:
        if row["stream"] is None:
            continue
        at = (int(row["server"].rsplit(":", 1)[1]), row["connection"], row["stream"])
        seen = streams.pop(at, None)
        if seen is None:
            found.append(f"{at}: tshark has no such stream, in truth {row['method']} {row['path']}")
            continue
        if seen["path"] is None and seen.get("authority"):
            seen["path"] = seen["authority"]
        if seen["grpc_message"] is not None:
            seen["grpc_message"] = unquote(seen["grpc_message"])
        for key in ("method", "path", "status", "grpc_status", "grpc_message", "messages_request", "messages_response", "interim", "pushed_by"):
            if key in ("method", "path") and seen[key] is None or key == "grpc_status" and row.get("protocol"):
                continue
            if row.get(key) not in (None, []) and seen.get(key) != row[key]:
                found.append(f"{at} {row['path']}: {key}: tshark has {seen.get(key)!r}, in truth {row[key]!r}")
        for key in ("status", "grpc_status"):
            if key in row and row[key] is None and seen[key] is not None:
                found.append(f"{at} {row['path']}: {key}: tshark has {seen[key]!r}, in truth there is none")
        first = seen["resets"][0] if seen["resets"] else None
        # A server's NO_ERROR behind its answer is its library's doing, of which nobody hears.
        if row.get("reset") != first and (row.get("reset") or first != {"by": "server", "code": "NO_ERROR"} or "server" not in seen["ended"]):
            found.append(f"{at} {row['path']}: reset: tshark has {seen['resets']}, in truth {row.get('reset')}")
    for row in truth["connections"]:
        at = (int(row["server"].rsplit(":", 1)[1]), row["connection"], 0)
        said = streams.get(at, {}).get("goaway", [])
        wanted = row.get("goaway")
        if wanted and not any(all(wanted[key] == one[key] for key in ("by", "code", "last_stream") if key in wanted) for one in said):
            found.append(f"{at}: GOAWAY: tshark has {said}, in truth {wanted}")
    found += [f"{at}: only tshark has it: {seen['method']} {seen['path']}" for at, seen in streams.items() if at[2] and (seen["status"] or seen["method"] or seen["resets"])]
    return found


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--compare"]
    if len(arguments) != 1:
        sys.exit("usage: http2_tshark.py [--compare] CAPTURE")
    truth = truth_of(arguments[0])
    with tempfile.TemporaryDirectory() as folder:
        streams = witness(without_tls(arguments[0], folder), truth)
    if "--compare" not in sys.argv:
        for key in sorted((key for key in streams if not key[2] or streams[key]["last"] is not None), key=lambda key: (streams[key].get("first") or 0, key)):
            print(json.dumps(streams[key], ensure_ascii=False))
        return
    if truth is None:
        sys.exit(f"{arguments[0]} has no truth.json beside it")
    found = compare(truth, dict(streams))
    print("\n".join(found) or f"{len(truth['streams'])} streams: the same")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
