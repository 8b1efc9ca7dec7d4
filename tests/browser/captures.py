"""Captures that no program makes on demand: hostile names, and any number of exchanges."""

import io
import socket
import struct

FIN, SYN, RST, ACK = 1, 2, 4, 16


class Capture:
    """A pcap file of raw IPv4 (LINKTYPE_RAW), with nanoseconds. Checksums are left zero: on `lo` they are seldom right."""

    def __init__(self, path):
        self.file = open(path, "wb", buffering=1 << 20)
        self.file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 101))

    def packet(self, micros, ends, ports, sequence, acknowledged, flags, data=b""):
        length = 40 + len(data)
        second, rest = divmod(micros, 1_000_000)
        self.file.write(struct.pack("<IIII", 1_795_507_200 + second, rest * 1000, length, length)
                        + struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 6, 0, *ends)
                        + struct.pack(">HHIIBBHHH", *ports, sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF, 0x50, flags, 65000, 0, 0) + data)

    def close(self):
        self.file.close()


class Pcapng(Capture):
    """The same as pcapng, which can say that packets were lost."""

    def __init__(self, path):
        self.file = open(path, "wb", buffering=1 << 20)
        self.block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
        # if_tsresol: microseconds.
        self.block(1, struct.pack("<HHI", 101, 0, 65535))

    def block(self, kind, body):
        body += bytes(-len(body) % 4)
        self.file.write(struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12))

    def time(self, micros):
        return struct.pack("<II", *divmod(1_795_507_200_000_000 + micros, 1 << 32))

    def packet(self, micros, ends, ports, sequence, acknowledged, flags, data=b""):
        plain, self.file = self.file, io.BytesIO()
        super().packet(micros, ends, ports, sequence, acknowledged, flags, data)
        plain, self.file = self.file.getvalue()[16:], plain
        self.block(6, struct.pack("<I", 0) + self.time(micros) + struct.pack("<II", len(plain), len(plain)) + plain)

    def lost(self, micros, packets):
        """Says how many packets the kernel has lost so far."""
        self.block(5, struct.pack("<I", 0) + self.time(micros) + struct.pack("<HHQHH", 5, 8, packets, 0, 0))


class Talk:
    """One connection to 10.0.0.2:80. Each call takes the time it is given, in microseconds since the capture's begin."""

    def __init__(self, capture, port, micros):
        self.capture, self.port = capture, port
        self.address = (socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.2"))
        self.sequence, self.answered = 1000, 5000
        self.client(micros, SYN, moves=1, acknowledges=False)
        self.server(micros + 20, SYN | ACK, moves=1)
        self.client(micros + 40, ACK)

    def client(self, micros, flags=ACK, data=b"", moves=0, acknowledges=True):
        self.capture.packet(micros, self.address, (self.port, 80), self.sequence, self.answered if acknowledges else 0, flags, data)
        self.sequence += len(data) + moves

    def server(self, micros, flags=ACK, data=b"", moves=0):
        self.capture.packet(micros, self.address[::-1], (80, self.port), self.answered, self.sequence, flags, data)
        self.answered += len(data) + moves


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def request(path, host=b"shop", more=b""):
    return b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + more + b"\r\n"


def gives_up(capture, port, begin, data):
    """A client that leaves after 500 ms, and an answer that comes then."""
    talk = Talk(capture, port, begin)
    talk.client(begin + 100, data=data)
    talk.server(begin + 130)
    talk.client(begin + 500_100, FIN | ACK, moves=1)
    talk.server(begin + 900_000, data=OK)
    talk.client(begin + 900_020, RST)


def hostile(path):
    """Names that are markup, scripts, the ends of scripts, and what turns text around."""
    capture = Capture(path)
    names = [b"</script><script>window.hacked=1</script>", b"<img/src=x/onerror=window.hacked=2>", b"\"'><svg/onload=window.hacked=3>",
             b"<!--<script>", "\u202eevil\u2028".encode(), b"{{data}}", b"&lt;b&gt;", b"javascript:window.hacked=4", b"]]>${window.hacked=5}`"]
    for index, name in enumerate(names):
        blanks = name.replace(b"/", b" ")
        more = b"X-Request-Id: " + name + b"\r\nX-Envoy-Expected-Rq-Timeout-Ms: 500\r\n"
        more += b"X-Forwarded-Client-Cert: Hash=1;URI=https://evil.example/" + name.replace(b";", b"").replace(b",", b"") + b"\r\n"
        gives_up(capture, 40_000 + index, index * 1_000_000, request(b"/" + name, blanks, more))
    capture.close()
    return len(names)


def restart(path):
    """A server that ends while it is asked, refuses for a while, and is there again; and packets that were lost before that."""
    capture = Pcapng(path)
    talks = [Talk(capture, 30_000 + number, 1_000 * number) for number in range(4)]
    for turn in range(20):
        for number, talk in enumerate(talks):
            now = 100_000 + turn * 50_000 + number * 5_000
            talk.client(now, data=request(b"/items/%d" % turn))
            talk.server(now + 900 + 137 * (turn + number), data=OK)
            talk.client(now + 30_000)
            if turn in (4, 9):
                capture.lost(now + 30_001, 7 if turn == 4 else 19)
    for number, talk in enumerate(talks):
        talk.client(1_200_000 + number, data=request(b"/last"))
    for number, talk in enumerate(talks):
        talk.server(1_204_000 + number, FIN | ACK, moves=1)
        talk.client(1_204_100 + number, FIN | ACK, moves=1)
    for number in range(3):
        ends = (socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.2"))
        capture.packet(1_300_000 + number * 100_000, ends, (31_000 + number, 80), 1000, 0, SYN)
        capture.packet(1_300_020 + number * 100_000, ends[::-1], (80, 31_000 + number), 0, 1001, RST | ACK)
    talk = Talk(capture, 32_000, 1_800_000)
    talk.client(1_800_100, data=request(b"/again"))
    talk.server(1_801_000, data=OK)
    capture.close()


def many(path, exchanges, give_ups):
    """`exchanges` of which the last `give_ups` do not go well; the good ones take their time: 1 µs more each."""
    capture = Capture(path)
    now, talk = 0, None
    good = exchanges - give_ups
    for index in range(good):
        if index % 1000 == 0:
            talk = Talk(capture, 10_000 + index // 1000, now)
            now += 100
        talk.client(now, data=request(b"/route/%d?n=%d" % (index % 50, index), more=b"X-Request-Id: %08x-0000-4000-8000-000000000000\r\n" % index))
        talk.server(now + 100 + index, data=OK)
        talk.client(now + 110 + index)
        now += 200 + index
    for index in range(give_ups):
        gives_up(capture, 20_000 + index, now + index * 1_000_000, request(b"/slow/%d" % index))
    capture.close()
