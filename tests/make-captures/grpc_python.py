"""Both ends of gRPC with Python's library, grpcio: a catalog whose answers do what their request's text says, and calls that are
put down by server and client.

grpcio tells neither the stream's number nor the client's port of a call. The server knows the port; the streams are counted, in the
order in which calls arrive at a connection: nothing else opens streams there, and whoever starts two calls at once waits between
them until the server has the first one.
"""

import collections
import concurrent.futures
import threading
import time
from urllib.parse import parse_qs

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE = "shop.v1.Catalog"
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
TEA = "item=tea"


def text(value):
    return StringValue(value=value)


def asked_for(request):
    return {key: values[0] for key, values in parse_qs(request.value, keep_blank_values=True).items()}


class Entry:
    """A call as the server saw it."""

    def __init__(self, context, path, streams):
        self.port, self.path = int(context.peer().rsplit(":", 1)[1]), path
        metadata = dict(context.invocation_metadata())
        self.request_id = metadata.get("x-request-id")
        self.before = int(metadata.get("grpc-previous-rpc-attempts", 0))
        self.received = self.sent = 0
        self.status = self.message = None
        self.over = threading.Event()
        streams[self.port] += 2
        self.stream = streams[self.port] - 1


class Log(grpc.ServerInterceptor):
    """Puts down each call, whatever its service."""

    def __init__(self):
        self.entries, self.streams, self.lock = [], collections.Counter(), threading.Lock()

    def unseen(self, port):
        """The number of a stream that no handler heard of."""
        with self.lock:
            self.streams[port] += 2
            return self.streams[port] - 1

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        if handler is None:
            return None
        kind = ("stream" if handler.request_streaming else "unary") + "_" + ("stream" if handler.response_streaming else "unary")
        inner = getattr(handler, kind)

        def begin(request, context):
            with self.lock:
                entry = Entry(context, details.method, self.streams)
                self.entries.append(entry)
            context.add_callback(entry.over.set)
            if not handler.request_streaming:
                entry.received = 1
                return entry, request

            def counted():
                for message in request:
                    entry.received += 1
                    yield message
            return entry, counted()

        def end(entry, context, failed):
            code, details = context.code(), context.details()
            if failed and code is None:
                code = grpc.StatusCode.UNKNOWN
            entry.status = code.value[0] if code else 0
            entry.message = (details or b"").decode() if isinstance(details, bytes) else details or None

        def one(request, context):
            entry, request = begin(request, context)
            failed = True
            try:
                answer = inner(request, context)
                entry.sent, failed = 1, False
                return answer
            finally:
                end(entry, context, failed)

        def several(request, context):
            entry, request = begin(request, context)
            failed = True
            try:
                for answer in inner(request, context):
                    entry.sent += 1
                    yield answer
                failed = False
            finally:
                end(entry, context, failed)

        return getattr(grpc, kind + "_rpc_method_handler")(
            several if handler.response_streaming else one, handler.request_deserializer, handler.response_serializer)


class Catalog:
    """What a request's text asks for: `sleep` ms, `status` with `message`, `count` answers with `gap` ms between them, `size`,
    `fails` times UNAVAILABLE first, `raise`, `head` (the response's headers before all else)."""

    def act(self, request, context):
        asked = asked_for(request)
        if "head" in asked:
            context.send_initial_metadata((("x-shelf", "7"),))
        if "sleep" in asked:
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait(int(asked["sleep"]) / 1000)
        if "raise" in asked:
            raise ValueError("no tea")
        before = int(dict(context.invocation_metadata()).get("grpc-previous-rpc-attempts", 0))
        if before < int(asked.get("fails", 0)):
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        return asked

    def fail(self, asked, context):
        if "trailer" in asked:
            context.set_trailing_metadata((("x-checksum-bin", b"\x05\xeb\x63"),))
        if "status" in asked:
            context.abort(getattr(grpc.StatusCode, asked["status"]), asked.get("message", ""))

    def get(self, request, context):
        asked = self.act(request, context)
        self.fail(asked, context)
        return text(("tea and rice " * 2000)[:int(asked.get("size", 12))])

    def list(self, request, context):
        asked = self.act(request, context)
        for number in range(int(asked.get("count", 1))):
            if number:
                time.sleep(int(asked.get("gap", 0)) / 1000)
            yield text(f"item {number}")
        self.fail(asked, context)
        if "stall" in asked:
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait(10)

    def add(self, requests, context):
        return text(f"{sum(1 for _ in requests)} added")

    def chat(self, requests, context):
        for request in requests:
            yield text("echo " + request.value)

    def handlers(self):
        coder = {"request_deserializer": StringValue.FromString, "response_serializer": StringValue.SerializeToString}
        return grpc.method_handlers_generic_handler(SERVICE, {
            "GetItem": grpc.unary_unary_rpc_method_handler(self.get, **coder),
            "ListItems": grpc.unary_stream_rpc_method_handler(self.list, **coder),
            "AddItems": grpc.stream_unary_rpc_method_handler(self.add, **coder),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat, **coder)})


class Server:
    def __init__(self, port, options=()):
        self.log, self.port = Log(), port
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), interceptors=(self.log,),
                                  options=(("grpc.so_reuseport", 0), *options))
        self.server.add_generic_rpc_handlers((Catalog().handlers(),))
        servicer = health.HealthServicer()
        servicer.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self.server)
        assert self.server.add_insecure_port(f"127.0.0.1:{port}") == port
        self.server.start()

    def wait_entries(self, count):
        end = time.monotonic() + 20
        while len(self.log.entries) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"waited for {count} calls, had {len(self.log.entries)}")
            time.sleep(0.002)


class Client:
    """One channel, that is, one connection."""

    def __init__(self, server, *options, **more):
        self.server = server
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.port}", options=(*OPTIONS, *options), **more)
        coder = {"request_serializer": StringValue.SerializeToString, "response_deserializer": StringValue.FromString}
        self.stubs = {"GetItem": self.channel.unary_unary(f"/{SERVICE}/GetItem", **coder),
                      "Nothing": self.channel.unary_unary(f"/{SERVICE}/Nothing", **coder),
                      "ListItems": self.channel.unary_stream(f"/{SERVICE}/ListItems", **coder),
                      "AddItems": self.channel.stream_unary(f"/{SERVICE}/AddItems", **coder),
                      "Chat": self.channel.stream_stream(f"/{SERVICE}/Chat", **coder)}
        self.health = self.channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                                               response_deserializer=health_pb2.HealthCheckResponse.FromString)

    def close(self):
        self.channel.close()


def outcome(call):
    """A unary call's end as the client has it: (code, message, messages)."""
    try:
        call.result()
        return 0, None, 1
    except grpc.FutureCancelledError:
        return 1, call.details(), 0
    except grpc.RpcError as error:
        return error.code().value[0], error.details(), 0


def stream_outcome(call, most=None):
    """The same of a stream of answers, cancelled after `most` of them."""
    count = 0
    try:
        for _ in call:
            count += 1
            if count == most:
                call.cancel()
                break
    except grpc.RpcError:
        pass
    return call.code().value[0], call.details() or None, count
