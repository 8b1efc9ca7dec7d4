"""What can go wrong around a HAProxy."""

import checks
import clients
from bench import RAW_HEAD, situation


def haproxy(name, status, state, **more):
    situation(
        "haproxy",
        name,
        {"status": status, "state": state},
        client=more.pop("client", None) or clients.plain(),
        **more,
    )


def backend(*lines, **more):
    return {"backend": lines, **more}


SERVER = backend("timeout server 500ms")

haproxy("good", 200, "--")
haproxy("chunked", 200, "--", path="/chunked")
haproxy("unavailable-of-the-origin", 503, "--", path="/unavailable")
haproxy("server-timeout", 504, "sH", path="/stall-before-answer", timer=500, options=SERVER)
haproxy(
    "server-timeout-late-answer",
    504,
    "sH",
    path="/stall-before-answer?late=1",
    timer=500,
    options=SERVER,
)
haproxy(
    "server-timeout-in-the-body",
    200,
    "sD",
    path="/stall-in-body",
    timer=500,
    options={**SERVER, "silence": True},
)
haproxy("server-fin", 502, "SH", path="/close-before-answer")
haproxy("server-reset", 502, "SH", path="/reset-before-answer")
haproxy("server-fin-in-the-head", 502, "SH", path="/close-in-head")
haproxy("server-fin-in-the-body", 200, "SD", path="/close-in-body")
haproxy("server-reset-in-the-body", 200, "SD", path="/reset-in-body")
haproxy("server-fin-in-a-chunk", 200, "SD", path="/chunked-cut")
haproxy("no-http", 502, "PH", path="/raw?answer=no-http")
for name in (
    "transfer-encoding-twice",
    "two-lengths-differ",
    "length-negative",
    "length-with-plus",
    "length-empty",
    "status-no-number",
    "field-without-colon",
    "field-name-with-blank",
):
    haproxy(f"framing-{name}", 502, "PH", path=f"/raw?answer={name}")
haproxy("framing-chunk-size-no-number", 502, "PH", path="/raw?answer=chunk-size-no-number")
haproxy("head-too-large", 502, "PH", path="/raw?answer=head-too-large", unseen="a limit of its own")
haproxy("connect-refused", 503, "SC", upstream="refused")
haproxy("connect-timeout", 503, "sC", upstream="silent", options=backend("timeout connect 1500ms"))
haproxy("no-server", 503, "SC", upstream="empty")
haproxy(
    "client-fin-while-waiting", 400, "CH", path="/stall-before-answer", client=clients.leaves("fin")
)
haproxy(
    "client-rst-while-waiting", -1, "CD", path="/stall-before-answer", client=clients.leaves("rst")
)
haproxy(
    "client-fin-in-the-answer",
    200,
    "CD",
    path="/segments?n=30&delay=20",
    client=clients.leaves("fin", "part of the answer"),
)
haproxy(
    "client-rst-in-the-answer",
    200,
    "CD",
    path="/segments?n=30&delay=20",
    client=clients.leaves("rst", "part of the answer"),
)
haproxy(
    "client-fin-in-the-head",
    400,
    "CR",
    upstream="none",
    client=clients.leaves("fin", "part of the head"),
)
haproxy(
    "client-rst-in-the-head",
    400,
    "CR",
    upstream="none",
    client=clients.leaves("rst", "part of the head"),
)
haproxy("client-rst-in-the-request", -1, "CD", client=clients.leaves("rst", "part of the request"))
haproxy(
    "client-does-not-read",
    200,
    "cD",
    path="/items?size=20000000",
    client=clients.never_reads,
    options={"frontend": ("timeout client 500ms",), "lingers": True},
    down_findings=("zero-window",),
)
haproxy(
    "queue-timeout",
    503,
    "sQ",
    path="/stall-before-answer",
    client=clients.queues,
    options=backend("timeout queue 500ms", server="maxconn 1"),
)
haproxy(
    "expect-unanswered", 200, "--", client=clients.expects(1.0), findings=("expect-unanswered",)
)
haproxy(
    "head-timeout",
    408,
    "cR",
    upstream="none",
    client=clients.sends("GET {target} HTTP/1.1\r\nHost: x\r\nX-Request"),
    options={"frontend": ("timeout http-request 500ms",)},
)
haproxy(
    "client-timeout-in-the-request",
    408,
    "cR",
    client=clients.stalls(),
    options={"frontend": ("option http-buffer-request", "timeout http-request 500ms")},
)
haproxy(
    "request-of-an-unknown-version",
    400,
    "PR",
    other=True,
    upstream="none",
    client=clients.sends("GET {target} HTTP/x\r\nHost: x\r\n\r\n"),
)
haproxy(
    "request-with-two-lengths",
    400,
    "PR",
    upstream="none",
    client=clients.sends(
        RAW_HEAD.replace("GET", "POST") + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
    ),
)
haproxy(
    "request-with-bad-field",
    400,
    "PR",
    upstream="none",
    client=clients.sends(RAW_HEAD + "no colon here\r\n\r\n"),
)
haproxy("denied", 403, "PR", upstream="none", options={"frontend": ("http-request deny",)})
haproxy(
    "too-many",
    429,
    "PR",
    upstream="none",
    options={"frontend": ("http-request deny deny_status 429",)},
)
haproxy(
    "tarpit",
    500,
    "PT",
    upstream="none",
    options={"frontend": ("timeout tarpit 400ms", "http-request tarpit")},
)
haproxy(
    "own-answer",
    200,
    "LR",
    upstream="none",
    options={"frontend": ("http-request return status 200 content-type text/plain string ok",)},
)
haproxy(
    "redirect",
    302,
    "LR",
    upstream="none",
    options={"frontend": ("http-request redirect location /there",)},
)
haproxy(
    "tls-to-plain",
    400,
    "PR",
    client=clients.speaks_tls,
    upstream="none",
    check=checks.connection_is("tls-refused-plain"),
)
haproxy(
    "proxy-protocol-unexpected",
    400,
    "PR",
    upstream="none",
    client=clients.sends("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n" + RAW_HEAD + "\r\n"),
)
haproxy(
    "proxy-protocol-missing",
    0,
    "",
    logged=False,
    upstream="none",
    options={"bind": "accept-proxy"},
    check=checks.left_unanswered,
)
haproxy(
    "keep-alive-idle",
    200,
    "--",
    client=clients.waits(3),
    options={"frontend": ("timeout http-keep-alive 500ms",)},
    check=checks.keeps("keep-alive", ("down", "server", 500)),
)
