"""What can go wrong between an Envoy and its upstream, or before it asks one."""

import checks
import clients
from situations_envoy import BAD_GATEWAY, CUT, HALF_SECOND, envoy, filter_of

# The upstream goes away.
envoy("upstream-fin", "UC", 503, BAD_GATEWAY, path="/close-before-answer")
envoy("upstream-fin-later", "UC", 503, BAD_GATEWAY, path="/close-before-answer?delay=200")
envoy("upstream-reset", "UC", 503, BAD_GATEWAY, path="/reset-before-answer")
envoy("upstream-reset-later", "UC", 503, BAD_GATEWAY, path="/reset-before-answer?delay=200")
envoy("upstream-fin-in-the-head", path="/close-in-head", flags="UPE", code=502)
envoy("upstream-reset-in-the-head", "UPE", 502, path="/reset-in-head")
envoy("upstream-fin-in-the-body", path="/close-in-body", flags="UPE", code=200)
envoy("upstream-reset-in-the-body", "UPE", 200, CUT, path="/reset-in-body")
envoy("upstream-fin-in-a-chunk", "UPE", 200, path="/chunked-cut")
envoy("upstream-fin-between-chunks", "UPE", 200, path="/chunked-without-end")
envoy("upstream-reset-in-a-chunk", "UPE", 200, CUT, path="/chunked-reset")
envoy(
    "upstream-reset-until-close",
    "-",
    200,
    "via_upstream",
    path="/until-close-reset",
    unseen="Envoy takes the RST for the end that the answer has anyway",
)
envoy(
    "upstream-fin-in-the-request",
    "UC",
    503,
    path="/close-in-request?after=1000",
    client=clients.stalls(),
)
envoy(
    "upstream-reset-in-the-request",
    "UC",
    503,
    path="/reset-in-request?after=1000",
    client=clients.stalls(),
)
envoy(
    "network-cuts-the-body",
    path="/items?size=40000",
    upstream="relay",
    flags="UPE",
    code=200,
    options={"relay": {"after": 12000, "action": "rst"}},
)
envoy(
    "network-closes-in-the-body",
    path="/items?size=40000",
    upstream="relay",
    flags="UPE",
    code=200,
    options={"relay": {"after": 12000, "action": "fin"}},
)
envoy(
    "network-swallows-the-body",
    "UT",
    200,
    path="/items?size=40000",
    upstream="relay",
    timer=600,
    options={"relay": {"after": 12000, "action": "silence"}, "route": {"timeout": "0.6s"}},
)
envoy(
    "early-answer-and-reset",
    path="/early-close",
    client=clients.plain("POST", b"x" * 3_000_000),
    # Whether Envoy comes to read the answer before the RST is a race: it logs UC, or passes it on.
    logged=False,
    check=checks.answered_early,
)
envoy("keep-alive-race", "UC", 503, BAD_GATEWAY, path="/close-next", client=clients.again())
envoy(
    "peer-gone-while-idle",
    "UT",
    504,
    client=clients.again(clients.Visit.vanish),
    options={"route": {"timeout": "0.7s"}},
    findings=("request-unacknowledged",),
    unseen="a kernel that repeats itself in vain holds the FIN back",
)
envoy(
    "keep-alive-race-seen",
    "UC",
    503,
    BAD_GATEWAY,
    path="/close-when-released",
    client=clients.races,
    findings=("keepalive-race",),
    options={"alone": True},
)
envoy(
    "forgotten-connection",
    "UC",
    503,
    BAD_GATEWAY,
    path="/reset-when-released",
    client=clients.forgets,
    findings=("stranger-reset",),
    # A FIN that had crossed the request, and is not in the capture, would look the same.
    options={"unsettled": True},
)
envoy(
    "large-segments-lost",
    "UT",
    504,
    path="/items?size=20000",
    timer=700,
    findings=("response-unacknowledged",),
    options={
        "loses": ("-m", "length", "--length", "1000:65535"),
        "way": "--sport",
        "route": {"timeout": "0.7s"},
        # The origin repeats itself for minutes.
        "unsettled": True,
    },
)
envoy(
    "process-ends",
    "UF",
    503,
    client=clients.process_ends(6),
    check=checks.process_ended,
    options={"ends": 6},
)
envoy(
    "client-inside-until-close",
    "DC",
    200,
    path="/stall-until-close",
    client=clients.leaves("fin", "part of the answer"),
)
envoy(
    "route-timeout-until-close",
    "UT",
    200,
    path="/stall-until-close",
    timer=500,
    options={"route": {"timeout": HALF_SECOND}},
)
envoy(
    "lost-segments",
    code=200,
    path="/items?size=400000",
    findings=("retransmission",),
    options={
        "loses": (
            "-m",
            "length",
            "--length",
            "1000:65535",
            "-m",
            "statistic",
            "--mode",
            "nth",
            "--every",
            "3",
            "--packet",
            "1",
        ),
        "way": "--sport",
    },
)
envoy(
    "first-syn-lost",
    code=200,
    findings=("syn-retry",),
    options={
        "loses": ("--syn", "-m", "statistic", "--mode", "nth", "--every", "1000", "--packet", "0"),
        "cluster": {"connect_timeout": "5s"},
    },
)
envoy(
    "slow-reader",
    code=200,
    path="/items?size=8000000",
    client=clients.reads_late(1.2),
    down_findings=("zero-window",),
    options={"lingers": True},
)
RETRY = {
    "retry_policy": {
        "retry_on": "reset,connect-failure",
        "num_retries": 1,
        "retry_back_off": {"base_interval": "0.02s"},
    }
}
envoy(
    "retry-that-helps", code=200, path="/first-reset", options={"route": RETRY}, findings=("retry",)
)
envoy(
    "retry-that-does-not",
    "URX,UC",
    503,
    path="/reset-before-answer",
    options={"route": RETRY},
    findings=("retry",),
)

# It cannot be reached, or must not be asked.
envoy("connect-refused", "UF", 503, BAD_GATEWAY, upstream="refused")
envoy("connect-refused-retried", "URX,UF", 503, upstream="refused", options={"route": RETRY})
envoy(
    "connect-timeout",
    "UF",
    503,
    BAD_GATEWAY,
    upstream="silent",
    options={"cluster": {"connect_timeout": "1.5s"}},
)
envoy(
    "accept-queue-full",
    "UF",
    503,
    BAD_GATEWAY,
    upstream="full",
    client=clients.fills_queue,
    check=checks.queue_is_full,
    options={"cluster": {"connect_timeout": "1.5s"}},
)
envoy(
    "tls-handshake-stall",
    "UF",
    503,
    "connection_timeout",
    upstream="origin",
    options={"upstream_tls": True},
)
envoy(
    "no-route",
    "NR",
    404,
    "route_not_found",
    upstream="none",
    options={"domains": ["elsewhere.example"]},
)
envoy("no-healthy-upstream", "UH", 503, "no_healthy_upstream", upstream="empty")
envoy(
    "no-cluster",
    "NC",
    503,
    "cluster_not_found",
    upstream="none",
    options={"action": {"route": {"cluster_header": "x-no-cluster"}}},
    client=clients.plain(X_No_Cluster="nowhere"),
)
envoy(
    "overflow",
    "UO",
    503,
    "overflow",
    options={"cluster": {"circuit_breakers": {"thresholds": [{"max_pending_requests": 0}]}}},
)
envoy(
    "rbac",
    "-",
    403,
    "rbac_access_denied",
    options=filter_of("envoy.filters.http.rbac", "rbac.v3.RBAC", rules={"action": "ALLOW"}),
)
BUCKET = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "60s"}
ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}, "runtime_key": "always"}
envoy(
    "rate-limit",
    "RL",
    429,
    "local_rate_limited",
    client=clients.again(),
    options=filter_of(
        "envoy.filters.http.local_ratelimit",
        "local_ratelimit.v3.LocalRateLimit",
        stat_prefix="limit",
        token_bucket=BUCKET,
        filter_enabled=ALWAYS,
        filter_enforced=ALWAYS,
    ),
)
ALL = {"numerator": 100, "denominator": "HUNDRED"}
envoy(
    "fault-abort",
    "FI",
    503,
    "fault_filter_abort",
    options=filter_of(
        "envoy.filters.http.fault",
        "fault.v3.HTTPFault",
        abort={"http_status": 503, "percentage": ALL},
    ),
)
envoy(
    "fault-delay",
    "DI",
    200,
    "via_upstream",
    options=filter_of(
        "envoy.filters.http.fault",
        "fault.v3.HTTPFault",
        delay={"fixed_delay": "0.3s", "percentage": ALL},
    ),
)
envoy(
    "direct-response",
    "-",
    503,
    "direct_response",
    upstream="none",
    options={
        "action": {
            "direct_response": {"status": 503, "body": {"inline_string": "closed for today\n"}}
        }
    },
)
envoy(
    "redirect",
    "-",
    301,
    "direct_response",
    upstream="none",
    options={"action": {"redirect": {"path_redirect": "/there"}}},
)
envoy(
    "body-too-large",
    "-",
    413,
    "request_payload_too_large",
    client=clients.plain("POST", b"x" * 3000),
    options=filter_of("envoy.filters.http.buffer", "buffer.v3.Buffer", max_request_bytes=1000),
)
envoy(
    "head-too-large",
    "DPE",
    431,
    client=clients.plain(X_Large="x" * 3000),
    upstream="none",
    options={
        "manager": {"max_request_headers_kb": 1},
        "action": {"direct_response": {"status": 200}},
    },
)
