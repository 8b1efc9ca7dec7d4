"""The bench every case stands on: processes, waiting, tcpdump and the ground truth.

Nothing here sleeps for a fixed time and hopes: every wait is for a condition that can be seen (a port in LISTEN, a packet in
the file, a line in a log), with a deadline that turns a hang into a message.
"""

import json
import os
import socket
import struct
import subprocess
import time

DEADLINE = 30.0
SENTINEL = b"make-captures: end of the scenario"
SENTINEL_PORT = 9


def wait(what, condition, deadline=DEADLINE):
    """Poll `condition` until it is true; what it returned is the result."""
    end = time.monotonic() + deadline
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline:.0f} s for {what}")
        time.sleep(0.005)


def sockets():
    """The namespace's TCP sockets: (local port, remote port, state), states as in include/net/tcp_states.h."""
    found = []
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        with open(table) as lines:
            next(lines)
            for line in lines:
                fields = line.split()
                local, remote = fields[1].rsplit(":", 1)[1], fields[2].rsplit(":", 1)[1]
                found.append((int(local, 16), int(remote, 16), int(fields[3], 16)))
    return found


TIME_WAIT, CLOSE, LISTEN = 6, 7, 10


def wait_listening(port):
    wait(f"port {port} to listen", lambda: any(s[0] == port and s[2] == LISTEN for s in sockets()))


def wait_closed(*ports):
    """Until no connection of these ports is anything but gone or in TIME_WAIT: every FIN, RST and delayed ACK is out."""
    def quiet():
        return not any((s[0] in ports or s[1] in ports) and s[2] not in (TIME_WAIT, CLOSE, LISTEN) for s in sockets())
    wait(f"the connections of {ports} to end", quiet)


class Processes:
    """Children of this run. Only these are ever ended, each by its own handle."""

    def __init__(self):
        self.children = []

    def start(self, command, **options):
        child = subprocess.Popen(command, **options)
        self.children.append(child)
        return child

    def end(self):
        for child in self.children:
            if child.poll() is None:
                child.terminate()
        for child in self.children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def read_block(capture, size):
    block = capture.read(size)
    return block if len(block) == size else None


def sentinel_offset(path):
    """Where in a classic pcap file the record with the sentinel begins; None while it is not there."""
    with open(path, "rb") as capture:
        if read_block(capture, 24) is None:
            return None
        while True:
            offset = capture.tell()
            header = read_block(capture, 16)
            if header is None:
                return None
            data = read_block(capture, struct.unpack("=IIII", header)[2])
            if data is None:
                return None
            # A cut packet (snap length) holds at least the sentinel's first bytes behind Ethernet, IPv4 and UDP headers.
            if SENTINEL[:16] in data:
                return offset


class Tcpdump:
    """One capture, from "listening on" to the sentinel, which is cut off the file again."""

    def __init__(self, processes, path, filter, interface="lo", nano=True, snaplen=0):
        self.path = path
        command = ["tcpdump", "-i", interface, "-U", "--immediate-mode", "-B", "32768", "-s", str(snaplen), "-Z", "root", "-w", path,
                   f"--time-stamp-precision={'nano' if nano else 'micro'}",
                   f"({filter}) or (udp dst port {SENTINEL_PORT})"]
        self.errors = path + ".stderr"
        with open(self.errors, "wb") as errors:
            self.child = processes.start(command, stdin=subprocess.DEVNULL, stderr=errors)
        wait("tcpdump to listen", self.listening)

    def listening(self):
        if self.child.poll() is not None:
            raise RuntimeError("tcpdump ended: " + self.said())
        return "listening on" in self.said()

    def said(self):
        with open(self.errors) as errors:
            return errors.read()

    def finish(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(SENTINEL, ("127.0.0.1", SENTINEL_PORT))
        end = wait("the last packet to be in the file", lambda: sentinel_offset(self.path))
        self.child.terminate()
        self.child.wait(5)
        if "0 packets dropped by kernel" not in self.said():
            raise RuntimeError("packets were dropped: " + self.said())
        os.truncate(self.path, end)
        os.unlink(self.errors)


class Truth:
    """What clients and origin know that they did. Never what an analyser says about the capture."""

    def __init__(self, name):
        self.name = name
        self.exchanges = []
        self.connections = {}
        self.summary = {}
        self.server = None

    def add(self, method, path, verdict, status=None, **more):
        """One exchange, in the order of request_start. `more`: server, probe, late_status, interim, certain, note, …"""
        entry = {"server": more.pop("server", self.server), "method": method, "path": path, "verdict": verdict, "status": status}
        entry.update(more)
        self.exchanges.append(entry)
        return entry

    def write(self, folder, capture):
        with open(os.path.join(folder, self.name + ".expect.json"), "w") as file:
            rows = ",\n    ".join(json.dumps(entry) for entry in self.exchanges)
            file.write('{\n  "capture": %s,\n  "connections": %s,\n  "summary": %s,\n  "exchanges": [%s]\n}\n' % (
                json.dumps(capture), json.dumps(self.connections), json.dumps(self.summary), "\n    " + rows + "\n  " if rows else ""))


class Case:
    """What a case's function is handed."""

    def __init__(self, name, out, work, namespaces, envoy):
        self.name, self.out, self.work, self.envoy = name, out, work, envoy
        self.namespaces = namespaces
        self.processes = Processes()
        self.truth = Truth(name)
        self.captures = []

    def capture(self, filter, **options):
        path = os.path.join(self.work, self.name + ".pcap")
        tcpdump = Tcpdump(self.processes, path, filter, **options)
        self.captures.append(tcpdump)
        return tcpdump

    def finish(self):
        """End the capture and hand the files over: nothing half-made is ever left in testdata-pcaps."""
        for tcpdump in self.captures:
            tcpdump.finish()
            self.deliver(os.path.basename(tcpdump.path))
        if self.captures:
            self.truth.write(self.out, os.path.basename(self.captures[0].path))

    def deliver(self, filename):
        source = os.path.join(self.work, filename)
        with open(source, "rb") as made, open(os.path.join(self.out, filename), "wb") as kept:
            kept.write(made.read())

    def run(self, command, **options):
        return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)


CASES = {}


def case(name, shows, how, peers=(), made_of=None, alone=False, packages=(), go=None, cluster=False, tools=(), jars=()):
    """Register a case. `peers` are further network namespaces that it needs, `made_of` another case whose capture it
    takes; `alone`: its truth has times that a busy machine stretches; `packages` are PyPI's, `go` a folder with a Go
    program, `jars` Maven Central's; `tools` are further programs that it runs; `cluster`: it takes a cluster with Istio, and no
    network namespace. `shows` and `how` are its lines in the README."""
    def register(function):
        CASES[name] = {"function": function, "shows": shows, "how": how, "peers": peers, "made_of": made_of, "alone": alone,
                       "packages": packages, "go": go, "cluster": cluster, "tools": tools, "jars": jars}
        return function
    return register
