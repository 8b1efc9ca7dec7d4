"""What is no HTTP, or badly framed, or another protocol, on either side of an Envoy."""

import checks
import clients
from answers import RAW
from bench import RAW_HEAD
from envoy_proxy import TYPE
from situations_envoy import envoy

# What is no HTTP, from the client.
DIRECT = {"action": {"direct_response": {"status": 200}}}
envoy(
    "request-with-bad-chunk",
    "DPE",
    400,
    client=clients.sends(
        RAW_HEAD.replace("GET", "POST") + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    ),
)
for name, parts in {
    "proxy-protocol-unexpected": ["PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n" + RAW_HEAD + "\r\n"],
    "request-with-length-and-chunked": [
        RAW_HEAD.replace("GET", "POST")
        + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ],
    "request-with-two-lengths": [
        RAW_HEAD.replace("GET", "POST") + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
    ],
    "request-with-blank-in-target": [
        "GET {target}& blank HTTP/1.1\r\nHost: x\r\nX-Request-Id: {id}\r\n\r\n"
    ],
    "request-with-bad-field": [RAW_HEAD + "no colon here\r\n\r\n"],
    "request-without-host": ["GET {target} HTTP/1.1\r\nX-Request-Id: {id}\r\n\r\n"],
}.items():
    flags = "-" if name == "request-without-host" else "DPE"
    envoy(name, flags, 400, client=clients.sends(*parts), upstream="none", options=DIRECT)

# What is no HTTP, or badly framed, from the upstream. What Envoy makes of each its log says.
TAKEN = {
    "status-without-reason",
    "bare-lf",
    "folded-field",
    "field-with-bare-cr",
    "chunk-longer-than-said",
    "version-unknown",
    "switching-unasked",
    "answer-longer-than-said",
}
# Envoy refuses them; nothing in the RFCs makes it.
STRICT = {
    "transfer-encoding-gzip-chunked": "a coding that it does not know",
    "two-lengths-alike": "RFC 9110 8.6 lets it choose",
    "lengths-in-a-list": "RFC 9110 8.6 lets it choose",
    "length-on-204": "RFC 9110 8.6 tells senders only",
    "head-too-large": "a limit of its own",
}
# Envoy takes them, which RFC 9112 does not want of a proxy (2.2, 2.3, 7.1).
LENIENT = {
    "field-with-bare-cr": "a bare CR is no blank",
    "chunk-longer-than-said": "a chunk ends where its size says",
    "version-unknown": "a message of HTTP/9.9 is none of HTTP/1",
}
for name in RAW:
    if name not in ("not-found-without-body", "gateway-timeout-of-its-own"):
        envoy(
            f"framing-{name}",
            "-" if name in TAKEN else "UPE",
            path=f"/raw?answer={name}",
            unseen=STRICT.get(name) or LENIENT.get(name),
        )
envoy(
    "upstream-plain-for-tls",
    "UF",
    503,
    "TLS_error",
    options={"upstream_tls": True, "plain_origin": True},
)

# Another protocol than the listener's.
PROXY_PROTOCOL = {
    "listener_filters": [
        {
            "name": "proxy_protocol",
            "typed_config": {"@type": f"{TYPE}.filters.listener.proxy_protocol.v3.ProxyProtocol"},
        }
    ]
}
envoy("proxy-protocol-missing", logged=False, options=PROXY_PROTOCOL, check=checks.left_unanswered)
envoy(
    "proxy-protocol",
    code=200,
    options=PROXY_PROTOCOL,
    client=clients.sends(
        "PROXY TCP4 192.0.2.7 127.0.0.1 4711 {port}\r\n" + RAW_HEAD + "Connection: close\r\n\r\n"
    ),
)
envoy(
    "tls-to-plain",
    "DPE",
    400,
    client=clients.speaks_tls,
    upstream="none",
    options=DIRECT,
    check=checks.connection_is("tls-refused-plain"),
)
# Envoy closes without an alert: nothing on the wire tells that it wanted TLS.
envoy("plain-to-tls", logged=False, options={"tls": True}, check=checks.left_unanswered)
