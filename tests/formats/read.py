"""Reads what the program writes with libraries of others: see check.

    read.py PROGRAM SCHEMAS FOLDER
"""

import base64
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import haralyzer
import jsonschema
import pandas
import referencing
import referencing.jsonschema
import svgelements

# Cuts are rounded in HAR, and parts in JSON.
TOLERANCE_MS = 0.0011
# Objects inside an exchange, by the name that stands before their own fields.
INSIDE = ("proxy", "envoy", "sockets", "reset", "grpc", "websocket", "event_stream")
# What has no column: a reset's frame is told by its events', and other figures of a call or a
# WebSocket are for programs, which read JSON.
NO_COLUMN = ("logs", "connection_error", "reset_frame", "grpc_wire", "grpc_status_name",
             "grpc_deadline_ms", "grpc_first_message_ms", "websocket_close_answered",
             "websocket_violation")
# Bytes of bodies: more than any capture has.
MAX_BODY = 16 << 20
# So many exchanges of a capture are drawn: the first of each verdict before others.
MAX_DRAWN = 8
SVG = "{http://www.w3.org/2000/svg}"
FORMULA = tuple("=+-@＝＋－＠'")


def report(program, capture, folder):
    outputs = [f"{form}={folder}/said.{form}" for form in ("json", "csv", "har")]
    words = [word for output in outputs for word in ("-o", output)]
    words += ["--bodies", str(MAX_BODY)]
    done = subprocess.run([program, "report", capture, *words], check=False, capture_output=True)
    if done.returncode not in (0, 1):
        raise AssertionError(f"exit status {done.returncode}: {done.stderr.decode()}")
    if not os.path.exists(f"{folder}/said.json"):
        return None
    return tuple(f"{folder}/said.{form}" for form in ("json", "csv", "har"))


def same(what, told, known):
    if told != known:
        raise AssertionError(f"{what}: {told!r} is told, {known!r} is so")


def shown(text):
    """Text as a cell has it: control characters by number, and no formula."""
    text = "" if text is None else str(text)
    written = "".join(one if one.isprintable() else escaped(one) for one in text)
    return "'" + written if text.startswith(FORMULA) else written


def escaped(one):
    return f"\\x{ord(one):02x}" if ord(one) < 0x80 else f"\\u{{{ord(one):x}}}"


def cells(exchange):
    """The cells that an exchange of JSON must have, by column."""
    known = {}
    for name, value in exchange.items():
        if name == "events":
            for event in value:
                known.setdefault(f"{event['kind']}_frame", []).append(str(event["frame"]))
                if event["kind"] == "interim":
                    known.setdefault("interim_status", []).append(str(event["status"]))
        elif name == "gaps":
            known.update({f"{gap}_ms": str(ms) for gap, ms in value.items()})
        elif name == "findings":
            known[name] = [one["kind"] for one in value]
            known["findings_ms"] = [str(one["ms"]) for one in value]
        elif name in INSIDE:
            for inner, part in (value or {}).items():
                if name == "grpc" and inner == "status":
                    # By its name, where it has one.
                    known["grpc_status"] = shown(value["status_name"] or part)
                elif inner == "messages":
                    for side, count in part.items():
                        known[f"grpc_{side}_messages"] = str(count)
                elif name == "websocket" and inner == "frames":
                    for side, count in part.items():
                        known[f"websocket_{side}_frames"] = str(count)
                elif name == "websocket" and inner == "whole":
                    known["websocket_whole"] = str(all(part.values())).lower()
                elif not isinstance(part, dict):
                    known[f"{name}_{inner}"] = part if isinstance(part, list) else shown(part)
        elif isinstance(value, bool):
            known[name] = str(value).lower()
        else:
            known[name] = shown(value)
    return {
        name: ";".join(value) if isinstance(value, list) else value
        for name, value in known.items()
        if name not in NO_COLUMN
    }


def read_csv(path, document):
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    same("line ends", text.count("\n"), text.count("\r\n"))
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    same("rows", len(rows), len(document["exchanges"]))
    for row, exchange in zip(rows, document["exchanges"]):
        known = cells(exchange)
        for name, value in known.items():
            if name not in row:
                raise AssertionError(f"no column {name}")
            if name.endswith("_ms") and ";" not in value and value:
                same(f"{name} of {exchange['id']}", float(row[name]), float(value))
            else:
                same(f"{name} of {exchange['id']}", row[name], value)
        for name, value in row.items():
            if name not in known and name != "source_name":
                same(f"{name} of {exchange['id']}", value, "")
            if value.startswith(FORMULA[:4]) and not is_number(value):
                raise AssertionError(f"{name} is a formula: {value}")


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_frame(path, document):
    """As a user of pandas does."""
    frame = pandas.read_csv(path, parse_dates=["start"])
    exchanges = document["exchanges"]
    same("rows", len(frame), len(exchanges))
    if not exchanges:
        return
    starts = [pandas.Timestamp(one["start"]) for one in exchanges]
    same("starts", list(frame["start"]), starts)
    for name in [name for name in frame if name.endswith("_ms") and name != "findings_ms"]:
        if not pandas.api.types.is_numeric_dtype(frame[name]):
            raise AssertionError(f"{name} is no column of numbers: {frame[name].dtype}")
    for gap, stats in document["summary"]["gaps"].items():
        counted = frame[~frame["probe"]][f"{gap}_ms"]
        same(f"{gap} counted", int(counted.count()), stats["count"])
        same(f"{gap} max", float(counted.max()), float(stats["max"]))
        same(f"{gap} min", float(counted.min()), float(stats["min"]))
    told = frame["verdict"].value_counts().to_dict()
    same("verdicts", told, document["summary"]["verdicts"])


def validator(folder):
    """The schema of HAR 1.2, from the package's files."""
    registry = referencing.Registry()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                schema = json.load(file)
            made = referencing.Resource.from_contents(
                schema, default_specification=referencing.jsonschema.DRAFT6
            )
            registry = registry.with_resources([(schema["$id"], made), (name, made)])
            if name == "har.json":
                top = schema
    formats = jsonschema.Draft6Validator.FORMAT_CHECKER
    return jsonschema.Draft6Validator(top, registry=registry, format_checker=formats)


def read_har(path, document, schema):
    with open(path, encoding="utf-8") as file:
        har = json.load(file)
    error = jsonschema.exceptions.best_match(schema.iter_errors(har))
    if error:
        raise AssertionError(f"no HAR: {error.json_path}: {error.message[:200]}")
    same("comment", "comment" in har["log"], not document["capture"]["complete"])
    entries = haralyzer.HarParser(har).har_data["entries"]
    same("entries", len(entries), len(document["exchanges"]))
    for raw, exchange in zip(entries, document["exchanges"]):
        read_entry(haralyzer.HarEntry(raw), raw, exchange)
        read_sizes(raw["request"], raw["_request_bytes"], f"request {exchange['id']}")
        read_sizes(raw["response"], raw["_response_bytes"], f"response {exchange['id']}")
    return entries


def read_sizes(message, known, who):
    if message["headersSize"] >= 0:
        same(f"{who}: size", message["headersSize"] + message["bodySize"], known)
    for header in message["headers"]:
        if header["name"].lower() in ("authorization", "cookie", "set-cookie"):
            same(f"{who}: {header['name']}", header["value"], "redacted")


def read_bodies(capture, document, entries):
    """The bodies of responses are those that tshark puts together."""
    command = ["tshark", "-r", capture, "-Y", "http.response && http.file_data"]

    def told(*more):
        done = subprocess.run([*command, *more], check=False, capture_output=True, text=True)
        return done.stdout

    # Neither form has both the numbers of frames and all bytes.
    numbers = told("-T", "fields", "-e", "frame.number").split()
    packets = json.loads(told("-T", "jsonraw", "--no-duplicate-keys", "-j", "http") or "[]")
    known = {}
    for number, packet in zip(numbers, packets):
        http = packet["_source"]["layers"]["http"]
        http = http if isinstance(http, list) else [http]
        bodies = [one["http.file_data_raw"] for one in http if "http.file_data_raw" in one]
        known[int(number)] = [body[0] for body in bodies]
    compared = 0
    for raw, exchange in zip(entries, document["exchanges"]):
        ends = [event["frame"] for event in exchange["events"] if event["kind"] == "response_end"]
        content = raw["response"]["content"]
        bodies = known.get(ends[0] if ends else 0, [])
        # Which is whose where several answers end in one frame, tshark does not say.
        if len(bodies) != 1 or "text" not in content or "comment" in content:
            continue
        text = content["text"]
        data = base64.b64decode(text) if content.get("encoding") else text.encode()
        same(f"body of exchange {exchange['id']}", data.hex(), bodies[0])
        compared += 1
    return compared


def read_entry(entry, raw, exchange):
    who = f"exchange {exchange['id']}"
    same(f"{who}: status", entry.status, exchange["status"] or 0)
    same(f"{who}: method", entry.request.method, exchange["method"] or "")
    same(f"{who}: verdict", raw["_verdict"], exchange["verdict"])
    same(f"{who}: gaps", raw["_gaps"], exchange["gaps"])
    same(f"{who}: findings", raw["_findings"], exchange["findings"])
    same(f"{who}: connection", raw["connection"], str(exchange["connection"]))
    same(f"{who}: server", entry.serverAddress, exchange["server"].rsplit(":", 1)[0].strip("[]"))
    same(f"{who}: target", raw["_path"], exchange["path"])
    same(f"{who}: version", entry.request.httpVersion, exchange["protocol"] or "")
    if exchange["authority"] is not None:
        same(f"{who}: host", dict_of(raw["request"]["headers"])["host"], exchange["authority"])
    timings, gaps = raw["timings"], exchange["gaps"]
    parts = [part for part in timings.values() if part != -1]
    if min(parts) < 0 or abs(sum(parts) - entry.time) > 1e-6:
        raise AssertionError(f"{who}: {timings} is not {entry.time}")
    begin = pandas.Timestamp(raw["startedDateTime"])
    since = (pandas.Timestamp(exchange["start"]) - begin).total_seconds() * 1000
    near(f"{who}: connect", since, max(timings["connect"], 0))
    if "wait" in gaps:
        near(f"{who}: time", entry.time, gaps["wait"])
    if "request_duration" in gaps:
        # A close may decide it while the request is still being sent.
        until = entry.time - max(timings["connect"], 0)
        near(f"{who}: send", timings["send"], min(gaps["request_duration"], until))
    if gaps.get("request_to_response", -1) >= 0 and exchange["verdict"] == "ok":
        near(f"{who}: wait", timings["wait"], gaps["request_to_response"])
        near(f"{who}: receive", timings["receive"], gaps["response_duration"])


def read_pictures(program, capture, document, folder):
    """Pictures of some exchanges; returns how many."""
    seen, first, rest = set(), [], []
    for exchange in document["exchanges"]:
        (rest if exchange["verdict"] in seen else first).append(exchange)
        seen.add(exchange["verdict"])
    some = (first + rest)[:MAX_DRAWN]
    for exchange in some:
        path = f"{folder}/{exchange['id']}.svg"
        words = ["-o", f"svg={path}", "--exchange", str(exchange["id"])]
        command = [program, "report", capture, *words]
        done = subprocess.run(command, check=False, capture_output=True)
        if not os.path.exists(path):
            raise AssertionError(f"no picture of exchange {exchange['id']}: {done.stderr.decode()}")
        read_svg(path, exchange)
    return len(some)


def read_svg(path, exchange):
    who = f"picture of exchange {exchange['id']}"
    # By expat: it is XML.
    root = xml.etree.ElementTree.parse(path).getroot()
    same(f"{who}: root", root.tag, f"{SVG}svg")
    same(f"{who}: exchange", root.get("data-of"), f"exchange {exchange['id']}")
    same(f"{who}: verdict", root.get("data-verdict"), exchange["verdict"])
    packets = [one for one in root.iter(f"{SVG}g") if one.get("class") == "packet"]
    known = {event["frame"]: event["t"] for event in exchange["events"]}
    told = {int(one.get("data-frame")): float(one.get("data-at")) for one in packets}
    same(f"{who}: frames", sorted(told), sorted(known))
    for frame, at in told.items():
        near(f"{who}: time of frame {frame}", at * 1000, known[frame] * 1000)
    # What stands between the packets is the difference of their times.
    steps = [float(text.removesuffix(" ms")) for text in of_class(root, "step")]
    times = [told[int(one.get("data-frame"))] for one in packets]
    same(f"{who}: steps", len(steps), max(len(times) - 1, 0))
    for step, before, after in zip(steps, times, times[1:]):
        near(f"{who}: step", step, (after - before) * 1000)
    # The gaps that it names are gaps of JSON. From 100 s on they are in words.
    figures = list(exchange["gaps"].values())
    for gap in of_class(root, "gap"):
        is_exact = re.fullmatch(r"-?[0-9]+\.[0-9]{3} ms", gap)
        if is_exact and not any(abs(float(gap[:-3]) - one) <= TOLERANCE_MS for one in figures):
            raise AssertionError(f"{who}: {gap} is no gap of {exchange['gaps']}")
    # By a library that knows what SVG is: inside of its own size, and an arrow for each packet.
    drawn = svgelements.SVG.parse(path)
    classes = [str(one.values.get("class", "")) for one in drawn.elements()]
    arrows = [one for one in classes if one.startswith("arrow")]
    same(f"{who}: arrows", len(arrows), len(packets))
    left, top, right, bottom = drawn.bbox()
    if left < 0 or top < 0 or right > float(drawn.width) or bottom > float(drawn.height):
        raise AssertionError(f"{who}: {(left, top, right, bottom)} is outside of it")


def of_class(root, name):
    texts = root.iter(f"{SVG}text")
    return [text.text or "" for text in texts if name in text.get("class", "").split()]


def dict_of(headers):
    return {header["name"].lower(): header["value"] for header in headers}


def near(what, told, known):
    if abs(told - known) > TOLERANCE_MS:
        raise AssertionError(f"{what}: {told} is told, {known} is so")


def main():
    program, schemas, folder = sys.argv[1:]
    schema = validator(schemas)
    endings = (".pcap", ".pcapng", ".gz", ".zst")
    names = sorted(name for name in os.listdir(folder) if name.endswith(endings))
    failed = exchanges = pictures = bodies = 0
    for name in names:
        with tempfile.TemporaryDirectory() as work:
            try:
                files = report(program, os.path.join(folder, name), work)
                if files is None:
                    raise AssertionError("there is no report")
                with open(files[0], encoding="utf-8") as file:
                    document = json.load(file)
                read_csv(files[1], document)
                read_frame(files[1], document)
                entries = read_har(files[2], document, schema)
                bodies += read_bodies(os.path.join(folder, name), document, entries)
                pictures += read_pictures(program, os.path.join(folder, name), document, work)
                exchanges += len(document["exchanges"])
            except (AssertionError, KeyError, ValueError, SyntaxError, csv.Error) as error:
                failed += 1
                print(f"{name}: {type(error).__name__}: {error}")
    if not exchanges or not bodies:
        failed += 1
        print("no capture has an exchange with a body")
    if not failed:
        print(
            f"{exchanges} exchanges of {len(names)} captures, {bodies} bodies and {pictures} "
            "pictures of them are read as they were meant"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
