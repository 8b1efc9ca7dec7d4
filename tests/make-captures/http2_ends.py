"""Both ends of HTTP/2 in the clear, on plain sockets and the library h2, with a thread that reads for each connection.

`End` is what client and server share. Whatever h2 would not do because it is wrong, late or unkind is written as a raw frame.
"""

import collections
import select
import socket
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings
from h2.connection import ConnectionState
from hyperframe.frame import GoAwayFrame, PingFrame, WindowUpdateFrame

from wire import reset as reset_connection

DEADLINE = 20.0


class Stream:
    """What one end has seen of a stream."""

    def __init__(self, number):
        self.number, self.headers, self.interim, self.data, self.trailers = number, {}, [], b"", {}
        self.ended, self.reset, self.pushed_by = False, None, None

    @property
    def status(self):
        return int(self.headers[":status"]) if ":status" in self.headers else None


class End:
    def __init__(self, connection, client_side, settings=None, hold_window=False, answer_pings=True):
        self.socket, self.hold_window, self.answer_pings = connection, hold_window, answer_pings
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.preface = b"", not client_side
        self.changed = threading.Condition()
        self.streams = collections.defaultdict(lambda: None)
        self.goaway, self.ended, self.pings, self.pongs, self.their_settings = None, None, 0, 0, 0
        config = h2.config.H2Configuration(client_side=client_side, header_encoding="utf-8", validate_inbound_headers=False,
                                           validate_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        if settings:
            values = dict(self.h2.local_settings) if client_side else {}
            values.update(settings)
            self.h2.local_settings = h2.settings.Settings(client=client_side, initial_values=values)

    def begin(self):
        with self.changed:
            self.h2.initiate_connection()
            self.flush()
        threading.Thread(target=self.read, daemon=True).start()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def read(self):
        while True:
            try:
                # close() takes effect only when nobody waits in the kernel: hence a short wait and not recv's own.
                if not select.select([self.socket], [], [], 0.01)[0]:
                    continue
                data = self.socket.recv(65536)
            except (OSError, ValueError) as error:
                return self.end("rst" if isinstance(error, ConnectionResetError) else "closed")
            if not data:
                return self.end("fin")
            with self.changed:
                self.buffer += data
                for part in self.frames():
                    for event in self.h2.receive_data(part):
                        self.take(event)
                    # For h2 nothing may come after GOAWAY; for RFC 9113 the streams that are open go on.
                    if self.h2.state_machine.state == ConnectionState.CLOSED:
                        self.h2.state_machine.state = ConnectionState.CLIENT_OPEN if self.h2.config.client_side else ConnectionState.SERVER_OPEN
                try:
                    self.flush()
                except OSError:
                    pass
                self.changed.notify_all()

    def frames(self):
        """The whole frames of what has come."""
        while True:
            size = 24 if self.preface else 9 + int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < max(size, 9):
                return
            part, self.buffer, self.preface = self.buffer[:size], self.buffer[size:], False
            yield part

    def end(self, how):
        with self.changed:
            self.ended = self.ended or how
            self.changed.notify_all()

    def take(self, event):
        number = getattr(event, "stream_id", None)
        stream = self.streams[number] if number else None
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[number] = Stream(number)
            stream.headers = dict(event.headers)
            self.opened(stream)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.ResponseReceived):
            stream.headers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream.data += event.data
            if not self.hold_window:
                self.h2.acknowledge_received_data(event.flow_controlled_length, number)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = dict(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = int(event.error_code)
        elif isinstance(event, h2.events.PushedStreamReceived):
            pushed = self.streams[event.pushed_stream_id] = Stream(event.pushed_stream_id)
            pushed.pushed_by, pushed.request = event.parent_stream_id, dict(event.headers)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = (int(event.error_code), event.last_stream_id)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.their_settings += 1
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
            if not self.answer_pings:
                self.h2.clear_outbound_data_buffer()
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1

    def opened(self, stream):
        pass

    def wait(self, what, condition):
        with self.changed:
            if not self.changed.wait_for(condition, DEADLINE):
                raise TimeoutError(f"waited for {what}")

    def headers(self, number, fields, end=False):
        with self.changed:
            self.h2.send_headers(number, list(fields.items()), end_stream=end)
            self.flush()

    def data(self, number, data, end=False, pad=None):
        """As the other's window lets it."""
        while True:
            with self.changed:
                room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size) if data else 0
                if data and not room:
                    if not self.changed.wait_for(lambda: self.h2.local_flow_control_window(number) > 0 or self.ended, DEADLINE):
                        raise TimeoutError("waited for a window")
                    continue
                part, data = data[:room], data[room:]
                self.h2.send_data(number, part, end_stream=end and not data, pad_length=pad)
                self.flush()
                if not data:
                    return

    def reset_stream(self, number, code):
        with self.changed:
            self.h2.reset_stream(number, code)
            self.flush()

    def raw(self, frame):
        with self.changed:
            self.socket.sendall(frame.serialize())

    def say_goaway(self, code=0, last=0, text=b""):
        self.raw(GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=text))

    def ping(self, text=b"are you?"):
        self.raw(PingFrame(0, opaque_data=text))

    def widen(self, number, size):
        """WINDOW_UPDATE, which h2 hears of, too, since it counts what comes."""
        with self.changed:
            self.h2.increment_flow_control_window(size, number)
            self.flush()

    def raw_window(self, number, size):
        self.raw(WindowUpdateFrame(number, window_increment=size))

    def fin(self):
        self.ended = self.ended or "closed"
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def rst(self):
        self.ended = self.ended or "closed"
        reset_connection(self.socket)


class Client(End):
    def __init__(self, address="127.0.0.1", port=8080, settings=None, **more):
        connection = socket.create_connection((address, port))
        super().__init__(connection, True, settings, **more)
        self.authority, self.port = f"{address}:{port}", connection.getsockname()[1]
        self.begin()

    def request(self, method, path, body=None, end=True, **fields):
        """The stream's number. `body` is sent at once; without one and with `end` the request ends with its headers."""
        head = {":method": method, ":scheme": "http", ":path": path, ":authority": self.authority, "user-agent": "make-captures/1"}
        protocol = fields.pop("protocol", None)
        if protocol:
            head = {":method": method, ":protocol": protocol, **{key: value for key, value in head.items() if key != ":method"}}
        if method == "CONNECT" and not protocol:
            head = {":method": "CONNECT", ":authority": path}
        head.update({key.replace("_", "-"): value for key, value in fields.items()})
        with self.changed:
            number = self.h2.get_next_available_stream_id()
            self.streams[number] = Stream(number)
            self.h2.send_headers(number, list(head.items()), end_stream=end and body is None)
            self.flush()
        if body is not None:
            self.data(number, body, end=end)
        return number

    def answer(self, number):
        """The stream when it is over: whole, reset, or with its connection."""
        stream = self.streams[number]
        self.wait(f"stream {number}", lambda: stream.ended or stream.reset is not None or self.ended)
        return stream

    def begun(self, number, size=1):
        stream = self.streams[number]
        self.wait(f"bytes of stream {number}", lambda: len(stream.data) >= size)

    def close(self):
        self.say_goaway()
        self.fin()


class Server:
    """Answers each stream in a thread of its own; `behaviours` is by the first part of the path. `next` has the options of the
    next connections' ends, by turns; what came stands in `log`."""

    def __init__(self, port, behaviours, address="127.0.0.1"):
        self.behaviours, self.next, self.log, self.ends = behaviours, [], [], []
        self.listener = socket.create_server((address, port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, peer = self.listener.accept()
            end = Serving(self, connection, peer[1], **(self.next.pop(0) if self.next else {}))
            self.ends.append(end)
            end.begin()

    def seen(self, path):
        return [entry for entry in self.log if entry["path"] == path]


class Serving(End):
    def __init__(self, server, connection, port, **options):
        super().__init__(connection, False, **options)
        self.server, self.port = server, port

    def end(self, how):
        super().end(how)
        if how == "fin":    # a client's half-close is none here
            self.socket.close()

    def opened(self, stream):
        path = stream.headers.get(":path") or "/"
        entry = {"connection": self.port, "stream": stream.number, "method": stream.headers[":method"], "path": path, "headers": stream.headers, "seen": stream, "end": self}
        self.server.log.append(entry)
        behaviour = self.server.behaviours.get(path.split("?")[0].strip("/").split("/")[0], items)
        threading.Thread(target=self.serve, args=(behaviour, stream), daemon=True).start()

    def serve(self, behaviour, stream):
        try:
            behaviour(self, stream)
        except (OSError, h2.exceptions.ProtocolError) as error:
            # The client went first: what it did is what counts.
            self.error = error

    def whole_request(self, stream):
        self.wait("the request's end", lambda: stream.ended or stream.reset is not None or self.ended)

    def respond(self, stream, status=200, body=b"items\n", trailers=None, end=True, **fields):
        head = {":status": str(status), "server": "make-captures", **{key.replace("_", "-"): value for key, value in fields.items()}}
        if end and not trailers:
            head["content-length"] = str(len(body))
        self.headers(stream.number, head, end=end and not body and not trailers)
        if body:
            self.data(stream.number, body, end=end and not trailers)
        if trailers:
            self.headers(stream.number, trailers, end=True)


def items(end, stream):
    end.whole_request(stream)
    end.respond(stream)
