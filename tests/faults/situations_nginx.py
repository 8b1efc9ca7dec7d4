"""What can go wrong around an nginx."""

import checks
import clients
from bench import RAW_HEAD, situation


def nginx(name, status, error="", **more):
    situation(
        "nginx",
        name,
        {"status": status, "error": error},
        client=more.pop("client", None) or clients.plain(),
        **more,
    )


BEFORE, INSIDE = "while reading response header from upstream", "while reading upstream"
READ = {"proxy": "proxy_read_timeout 500ms;"}

nginx("good", 200)
nginx("chunked", 200, path="/chunked")
nginx("unavailable-of-the-origin", 503, path="/unavailable")
nginx("slow-body", 200, path="/segments?n=4&delay=120")
nginx("read-timeout", 504, BEFORE, path="/stall-before-answer", timer=500, options=READ)
nginx(
    "read-timeout-late-answer",
    504,
    BEFORE,
    path="/stall-before-answer?late=1",
    timer=500,
    options=READ,
)
nginx(
    "read-timeout-in-the-body",
    200,
    INSIDE,
    path="/stall-in-body",
    timer=500,
    options={**READ, "silence": True},
)
nginx(
    "upstream-fin",
    502,
    "upstream prematurely closed connection " + BEFORE,
    path="/close-before-answer",
)
nginx("upstream-reset", 502, "Connection reset by peer) " + BEFORE, path="/reset-before-answer")
nginx(
    "upstream-fin-in-the-head",
    502,
    "upstream prematurely closed connection " + BEFORE,
    path="/close-in-head",
)
nginx(
    "upstream-fin-in-the-body",
    200,
    "upstream prematurely closed connection " + INSIDE,
    path="/close-in-body",
)
nginx(
    "upstream-reset-in-the-body", 200, "Connection reset by peer) " + INSIDE, path="/reset-in-body"
)
nginx(
    "upstream-fin-in-a-chunk",
    200,
    "upstream prematurely closed connection " + INSIDE,
    path="/chunked-cut",
)
nginx("framing-field-with-nul", 502, path="/raw?answer=field-with-nul&then=close")
nginx(
    "head-too-large",
    502,
    "upstream sent too big header",
    path="/raw?answer=head-too-large",
    unseen="a limit of its own",
)
nginx(
    "connect-refused", 502, "Connection refused) while connecting to upstream", upstream="refused"
)
nginx(
    "connect-timeout",
    504,
    "Connection timed out) while connecting to upstream",
    upstream="silent",
    options={"proxy": "proxy_connect_timeout 1500ms;"},
)
nginx(
    "client-fin-while-waiting",
    499,
    "client prematurely closed connection",
    path="/stall-before-answer",
    client=clients.leaves("fin"),
)
nginx(
    "client-rst-while-waiting", 499, "", path="/stall-before-answer", client=clients.leaves("rst")
)
for how in ("fin", "rst"):
    nginx(
        f"client-{how}-in-the-request",
        400,
        "",
        client=clients.leaves(how, "part of the request"),
        options={"proxy": "proxy_request_buffering off;"},
    )
    nginx(
        f"client-{how}-in-the-answer",
        200,
        "client prematurely closed",
        path="/segments?n=30&delay=20",
        client=clients.leaves(how, "part of the answer"),
    )
nginx(
    "client-does-not-read",
    200,
    "client timed out",
    path="/items?size=20000000",
    client=clients.never_reads,
    options={"server": "send_timeout 500ms;", "lingers": True},
    down_findings=("zero-window",),
)
nginx(
    "slow-reader",
    200,
    path="/items?size=8000000",
    client=clients.reads_late(1.2),
    down_findings=("zero-window",),
    options={"lingers": True},
)
nginx("expect-unanswered", 200, client=clients.expects(1.0))
nginx(
    "body-timeout",
    408,
    "",
    client=clients.stalls(),
    options={"server": "client_body_timeout 500ms;"},
)
nginx(
    "header-timeout",
    408,
    "client timed out",
    client=clients.sends("GET {target} HTTP/1.1\r\nHost: x\r\nX-Request"),
    upstream="none",
    options={"server": "client_header_timeout 500ms;", "location": "return 200;"},
)
nginx(
    "request-of-an-unknown-version",
    505,
    "client sent invalid version",
    other=True,
    client=clients.sends("GET {target} HTTP/7.7\r\nHost: x\r\n\r\n"),
    upstream="none",
    options={"location": "return 200;"},
)
nginx(
    "request-with-length-and-chunked",
    400,
    client=clients.sends(
        RAW_HEAD.replace("GET", "POST")
        + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    upstream="none",
    options={"location": "return 200;"},
)
nginx(
    "body-too-large",
    413,
    "client intended to send too large body",
    client=clients.plain("POST", b"x" * 3000),
    options={"server": "client_max_body_size 1k;"},
)
nginx(
    "head-of-the-client-too-large",
    400,
    "client sent too long header line",
    client=clients.plain(X_Large="x" * 9000),
    upstream="none",
    options={"server": "large_client_header_buffers 2 4k;", "location": "return 200;"},
)
nginx(
    "target-too-long",
    414,
    "",
    client=clients.sends("GET {target}&x=" + "x" * 9000 + " HTTP/1.1\r\nHost: x\r\n\r\n"),
    upstream="none",
    options={"server": "large_client_header_buffers 2 4k;", "location": "return 200;"},
)
nginx("closed-unanswered", 444, "", upstream="none", options={"location": "return 444;"})
nginx("denied", 403, "access forbidden by rule", upstream="none", options={"location": "deny all;"})
nginx(
    "rate-limit",
    503,
    "limiting requests",
    client=clients.again(),
    options={"server": "limit_req zone=one;"},
)
nginx(
    "tls-to-plain",
    400,
    "",
    client=clients.speaks_tls,
    upstream="none",
    options={"location": "return 200;"},
    check=checks.connection_is("tls-refused-plain"),
)
nginx(
    "plain-to-tls",
    400,
    "client sent plain HTTP request to HTTPS port",
    upstream="none",
    options={"tls": True, "location": "return 200;"},
)
nginx(
    "proxy-protocol-unexpected",
    400,
    "client sent invalid",
    client=clients.sends("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n" + RAW_HEAD + "\r\n"),
    upstream="none",
    options={"location": "return 200;"},
)
nginx(
    "proxy-protocol-missing",
    0,
    logged=False,
    upstream="none",
    options={"listen": " proxy_protocol", "location": "return 200;"},
    check=checks.left_unanswered,
)
nginx(
    "keep-alive-idle",
    200,
    client=clients.waits(3),
    options={"server": "keepalive_timeout 1s;"},
    check=checks.keeps("keep-alive", ("down", "server", 1000)),
)
