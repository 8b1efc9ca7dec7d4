"""The same and other packets in other clothes: pcapng with comments and several interfaces, gzip, zstd."""

import gzip
import json
import os
import select
import shutil
import socket
import struct
import subprocess

from lab import SENTINEL, SENTINEL_PORT, case, wait, wait_closed
from origin import BEHAVIOURS, Origin
from wire import Client


SECTION_HEADER, INTERFACE = 0x0A0D0D0A, 1
IF_OS, IF_HARDWARE = 12, 15


def blocks(data):
    """The blocks of a little-endian pcapng file: (type, whole block)."""
    offset = 0
    while offset < len(data):
        kind, length = struct.unpack_from("<II", data, offset)
        yield kind, data[offset:offset + length]
        offset += length


def without_options(block, fixed, unwanted):
    """A block without the options of these codes; `fixed` bytes of it come before the options."""
    kept, offset = block[:fixed], fixed
    while offset + 4 <= len(block) - 4:
        code, length = struct.unpack_from("<HH", block, offset)
        end = offset + 4 + (length + 3) // 4 * 4
        if code not in unwanted:
            kept += block[offset:end]
        offset = end
    size = len(kept) + 4
    return kept[:4] + struct.pack("<I", size) + kept[8:] + struct.pack("<I", size)


def tidy(path):
    """Rewrite a pcapng file without what describes the machine that made it, and without the packet that marks the
    scenario's end. Every other block is copied as it is."""
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        for kind, block in blocks(data):
            if kind == SECTION_HEADER:
                file.write(struct.pack("<IIIHHqI", kind, 28, 0x1A2B3C4D, 1, 0, -1, 28))
            elif kind == INTERFACE:
                file.write(without_options(block, 16, (IF_OS, IF_HARDWARE)))
            elif SENTINEL not in block:
                file.write(block)


@case("pcapng-comments", "tutorial-envoy.pcap as pcapng with a comment on three packets: the request, the FIN, the RST", "editcap -a on tutorial-envoy.pcap",
      made_of="tutorial-envoy")
def pcapng_comments(case):
    source = os.path.join(case.out, "tutorial-envoy.pcap")
    target = os.path.join(case.work, "pcapng-comments.pcapng")
    found = case.run(["tshark", "-r", source, "-d", "tcp.port==3000,http", "-Y", 'http.request.uri contains "delay"', "-T", "fields", "-e", "frame.number", "-e", "tcp.stream"])
    request, stream = found.stdout.split()
    closes = case.run(["tshark", "-r", source, "-Y", f"tcp.stream == {stream} && (tcp.flags.fin == 1 || tcp.flags.reset == 1)", "-T", "fields", "-e", "frame.number"]).stdout.split()
    case.run(["editcap", "-F", "pcapng", "-a", f"{request}:the slow request", "-a", f"{closes[0]}:the sidecar hangs up", "-a", f"{closes[-1]}:nobody wants the answer any more",
              source, target])
    tidy(target)
    case.deliver("pcapng-comments.pcapng")
    retell(case, "pcapng-comments.pcapng", "pcapng-comments")


def retell(case, capture, name, original="tutorial-envoy"):
    """The ground truth of the original under another name."""
    with open(os.path.join(case.out, original + ".expect.json")) as file:
        text = file.read()
    with open(os.path.join(case.out, name + ".expect.json"), "w") as file:
        file.write(text.replace(json.dumps(original + ".pcap"), json.dumps(capture)))


@case("pcapng-names", "istio-pod-any.pcap as pcapng with a block that names two of its addresses: the pod, and its caller", "tshark -H hosts -W n on istio-pod-any.pcap",
      made_of="istio-pod-any")
def pcapng_names(case):
    source = os.path.join(case.out, "istio-pod-any.pcap")
    target = os.path.join(case.work, "pcapng-names.pcapng")
    hosts = os.path.join(case.work, "hosts")
    with open(hosts, "w") as file:
        file.write("10.244.0.5 catalog-7d9f.shop\n10.244.0.1 gateway-5c4b.istio-system\n127.0.0.6 istio-inbound\n")
    # It writes the names that it showed: -V makes it show them.
    case.run(["tshark", "-r", source, "-H", hosts, "-W", "n", "-N", "nd", "-V", "-F", "pcapng", "-w", target])
    tidy(target)
    case.deliver("pcapng-names.pcapng")
    retell(case, "pcapng-names.pcapng", "pcapng-names", "istio-pod-any")


@case("tutorial-envoy.pcap.gz", "tutorial-envoy.pcap, compressed", "gzip", made_of="tutorial-envoy")
def compressed_gzip(case):
    with open(os.path.join(case.out, "tutorial-envoy.pcap"), "rb") as source, open(os.path.join(case.out, "tutorial-envoy.pcap.gz"), "wb") as target:
        # No name and no time inside: the same bytes each time.
        with gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0) as packed:
            shutil.copyfileobj(source, packed)
    retell(case, "tutorial-envoy.pcap.gz", "tutorial-envoy.pcap.gz")


@case("tutorial-envoy.pcap.zst", "tutorial-envoy.pcap, compressed", "zstd", made_of="tutorial-envoy")
def compressed_zstd(case):
    case.run(["zstd", "-q", "-f", "-19", os.path.join(case.out, "tutorial-envoy.pcap"), "-o", os.path.join(case.out, "tutorial-envoy.pcap.zst")])
    retell(case, "tutorial-envoy.pcap.zst", "tutorial-envoy.pcap.zst")


@case("multi-interface", "One pcapng with two interfaces, `eth0` and `lo`: a proxy in the pod takes requests on `eth0` and passes them on over `lo`; one of them is given up on both hops; interface names, filters and statistics in the file, whose frames are not in the order of time: dumpcap writes each interface in bursts",
      "dumpcap -i eth0 -i lo in a namespace joined to another by a veth pair; curl → a port-forwarding origin", peers=("client",))
def multi_interface(case):
    pod, client = case.namespaces
    case.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "veth0", "netns", client])
    for namespace, link, address in ((pod, "eth0", "10.244.0.5"), (client, "veth0", "10.244.0.1")):
        inside = ["ip", "netns", "exec", namespace]
        case.run(inside + ["sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{link}/disable_ipv6"])
        case.run(inside + ["ip", "address", "add", f"{address}/24", "dev", link])
        case.run(inside + ["ip", "link", "set", link, "up"])
    app = Origin("127.0.0.1", 3000)
    front = Origin("10.244.0.5", 8080)
    target = os.path.join(case.work, "multi-interface.pcapng")
    errors = os.path.join(case.work, "dumpcap.stderr")
    filter = f"tcp port 3000 or tcp port 8080 or udp dst port {SENTINEL_PORT}"
    with open(errors, "wb") as said:
        dumpcap = case.processes.start(["dumpcap", "-q", "-i", "eth0", "-f", filter, "-i", "lo", "-f", filter, "-w", target], stderr=said)
    wait("dumpcap to listen", lambda: "File:" in open(errors).read())
    truth = case.truth
    relay = Relay()
    BEHAVIOURS["relay"] = relay.behave
    for path, late in (("/items/1", False), ("/items/2", False), ("/stall-before-answer?late=1", True), ("/items/3", False)):
        for server in ("10.244.0.5:8080", "127.0.0.1:3000"):
            sent = "/relay" + path if server.endswith(":8080") else path
            if late:
                truth.add("GET", sent, "client-gave-up", None, server=server, **({"late_status": 200} if server.endswith(":3000") else {}))
            else:
                truth.add("GET", sent, "ok", 200, server=server)
        command = ["ip", "netns", "exec", client, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-A", "curl/8", "--max-time", "0.5" if late else "10",
                   f"http://10.244.0.5:8080/relay{path}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == (28 if late else 0), done.stderr
        if late:
            wait("the late answer", lambda: app.done[path])
    wait_closed(3000, 8080)
    truth.connections = {"total": 8}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(SENTINEL, ("127.0.0.1", SENTINEL_PORT))
    wait("the last packet to be in the file", lambda: SENTINEL in open(target, "rb").read())
    dumpcap.terminate()
    dumpcap.wait(5)
    tidy(target)
    case.deliver("multi-interface.pcapng")
    truth.write(case.out, "multi-interface.pcapng")


class Relay:
    """The pod's proxy: passes a request on over `lo` and hangs up there when its own client does."""

    def behave(self, talk):
        far = Client("127.0.0.1", 3000)
        far.request("GET", talk.target.removeprefix("/relay"))
        ready, _, _ = select.select([far.socket, talk.socket], [], [])
        if talk.socket in ready:
            far.close()
            return False
        status = far.response()
        far.close()
        talk.answer(f"{status} OK", b"relayed\n")
