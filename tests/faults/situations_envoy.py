"""What can go wrong around an Envoy: timers, callers who leave, idleness, two in a row."""

import checks
import clients
from bench import SITUATIONS, situation
from envoy_proxy import TYPE

BAD_GATEWAY = "upstream_reset_before_response_started"
CUT = "upstream_reset_after_response_started"
HALF_SECOND = "0.5s"


def envoy(name, flags="-", code=None, details="", **more):
    want = {"response_flags": flags}
    if code is not None:
        want["response_code"] = code
    if details:
        want["response_code_details"] = details
    situation("envoy", name, want, client=more.pop("client", None) or clients.plain(), **more)


def filter_of(name, kind, **config):
    return {
        "filters": [
            {"name": name, "typed_config": {"@type": f"{TYPE}.filters.http.{kind}", **config}}
        ]
    }


# Answers that are as they should be.
envoy("good", code=200, details="via_upstream")
envoy("chunked", code=200, path="/chunked")
envoy("until-close", code=200, path="/until-close")
envoy("unavailable-of-the-origin", code=503, details="via_upstream", path="/unavailable")
envoy(
    "missing-of-the-origin",
    code=404,
    details="via_upstream",
    path="/raw?answer=not-found-without-body",
)
envoy(
    "timeout-of-the-origin",
    code=504,
    details="via_upstream",
    path="/raw?answer=gateway-timeout-of-its-own",
    # The origin plays a proxy, word for word.
    options={"forged": True},
)
envoy("slow-answer", code=200, path="/items?delay=400")
envoy("slow-answer-by-the-network", code=200, upstream="relay", options={"relay": {"seconds": 0.3}})
envoy("slow-body", code=200, path="/segments?n=4&delay=120")
envoy("early-hints", code=200, path="/early-hints")
envoy("expect-continue", code=200, client=clients.plain("POST", b"x" * 500, Expect="100-continue"))
envoy("early-answer", code=403, path="/early-answer", client=clients.plain("POST", b"x" * 2000))
envoy("fin-behind-the-answer", code=200, path="/answer-half-closed")

# Timers.
envoy(
    "route-timeout",
    "UT",
    504,
    "response_timeout",
    path="/stall-before-answer",
    timer=500,
    options={"route": {"timeout": HALF_SECOND}},
)
envoy(
    "route-timeout-late-answer",
    "UT",
    504,
    path="/stall-before-answer?late=1",
    timer=500,
    options={"route": {"timeout": HALF_SECOND}},
)
envoy(
    "route-timeout-odd",
    "UT",
    504,
    path="/stall-before-answer",
    timer=370,
    options={"route": {"timeout": "0.37s"}},
)
envoy(
    "route-timeout-inside-the-body",
    "UT",
    200,
    "response_timeout",
    path="/stall-in-body",
    timer=500,
    options={"route": {"timeout": HALF_SECOND}},
)
envoy(
    "route-timeout-inside-chunks",
    "UT",
    200,
    path="/stall-in-chunks",
    timer=500,
    options={"route": {"timeout": HALF_SECOND}},
)
envoy(
    "per-try-timeout",
    "URX,UT",
    504,
    "upstream_per_try_timeout",
    path="/stall-before-answer",
    timer=300,
    options={
        "route": {
            "timeout": "5s",
            "retry_policy": {"retry_on": "5xx", "num_retries": 0, "per_try_timeout": "0.3s"},
        }
    },
)
envoy(
    "per-try-timeout-retried",
    "URX,UT",
    504,
    path="/stall-before-answer",
    timer=300,
    options={
        "route": {
            "timeout": "5s",
            "retry_policy": {"retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.3s"},
        }
    },
)
envoy(
    "stream-idle-before-the-answer",
    "SI",
    504,
    "stream_idle_timeout",
    path="/stall-before-answer",
    timer=500,
    options={"manager": {"stream_idle_timeout": HALF_SECOND}},
)
envoy(
    "stream-idle-inside-the-body",
    "SI",
    200,
    "stream_idle_timeout",
    path="/stall-in-body",
    timer=500,
    options={"manager": {"stream_idle_timeout": HALF_SECOND}},
)
envoy(
    "stream-idle-before-the-announced",
    "SI",
    504,
    path="/stall-before-answer",
    timer=500,
    options={"manager": {"stream_idle_timeout": HALF_SECOND}, "route": {"timeout": "3s"}},
)
envoy(
    "stream-idle-inside-the-request",
    "SI",
    408,
    client=clients.stalls(),
    options={"manager": {"stream_idle_timeout": HALF_SECOND}},
)
envoy(
    "route-idle-timeout",
    "SI",
    504,
    path="/stall-before-answer",
    timer=600,
    options={"route": {"idle_timeout": "0.6s"}},
)
envoy(
    "request-timeout",
    "-",
    408,
    "request_overall_timeout",
    client=clients.stalls(),
    options={"manager": {"request_timeout": HALF_SECOND}},
)
envoy(
    "request-headers-timeout",
    "-",
    408,
    client=clients.sends("GET {target} HTTP/1.1\r\nHost: x\r\nX-Request"),
    upstream="none",
    options={
        "manager": {"request_headers_timeout": HALF_SECOND},
        "action": {"direct_response": {"status": 200}},
    },
)
envoy(
    "stream-duration",
    "-",
    504,
    "max_duration_timeout",
    path="/stall-before-answer",
    options={"manager": {"common_http_protocol_options": {"max_stream_duration": HALF_SECOND}}},
)
envoy(
    "stream-duration-of-the-upstream",
    "UMSDR",
    504,
    path="/stall-before-answer",
    options={"upstream_common": {"max_stream_duration": HALF_SECOND}},
)

# The downstream goes away.
for how in ("fin", "rst", "half"):
    envoy(
        f"client-{how}-while-waiting", "DC", path="/stall-before-answer", client=clients.leaves(how)
    )
    envoy(
        f"client-{how}-in-the-answer",
        "DC",
        200,
        path="/stall-in-body",
        client=clients.leaves(how, "part of the answer"),
    )
for how in ("fin", "rst"):
    envoy(
        f"client-{how}-in-the-request",
        "DC",
        path="/items",
        client=clients.leaves(how, "part of the request"),
    )
envoy(
    "client-leaves-before-the-timeout",
    "DC",
    path="/stall-before-answer",
    client=clients.leaves("fin"),
    options={"route": {"timeout": "5s"}},
)

# Upgrades and idle connections.
UPGRADE = {
    "manager": {
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "stream_idle_timeout": HALF_SECOND,
    }
}
envoy(
    "websocket-idle",
    "SI",
    101,
    path="/websocket-silent",
    options=UPGRADE,
    check=checks.keeps("tunnel-idle", ("down", "server", 1500), ("up", "client", 500)),
    client=clients.waits(
        3,
        Connection="Upgrade",
        Upgrade="websocket",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
    ),
)
IDLE = {"idle_timeout": HALF_SECOND}
envoy(
    "downstream-idle",
    code=200,
    client=clients.waits(3),
    options={"manager": {"common_http_protocol_options": IDLE}},
    # On top of the timeout come drain_timeout, 5 s, and delayed_close_timeout, 1 s.
    check=checks.keeps("keep-alive", ("down", "server", 6500)),
)
envoy(
    "request-behind-the-proxys-fin",
    code=200,
    client=clients.sends_after_close,
    check=checks.raced,
    options={"manager": {"common_http_protocol_options": IDLE}},
)
envoy(
    "upstream-idle",
    code=200,
    client=clients.stays(0.8),
    path="/items?delay=50",
    options={"upstream_common": IDLE},
    check=checks.keeps("keep-alive", ("up", "client", 500)),
)
envoy(
    "origin-idle",
    code=200,
    client=clients.stays(0.8),
    path="/items?delay=50",
    options={"origin_idle": 0.5},
    check=checks.keeps("keep-alive", ("up", "server", 500)),
)


def two_in_a_row(name, flags, code=None, sidecar=("DC", None), **more):
    """A gateway before a sidecar that calls its app from 127.0.0.6."""
    shared = f"faults-envoy-gateway-{name}"
    envoy(
        f"sidecar-{name}",
        *sidecar,
        path=more["path"],
        known_as=shared,
        options={"bind": "127.0.0.6"},
    )
    # Nobody calls it but the gateway.
    SITUATIONS[-1].client = None
    envoy(
        f"gateway-{name}",
        flags,
        code,
        known_as=shared,
        behind=f"sidecar-{name}",
        check=checks.gateway,
        **more,
    )


STALL = "/stall-before-answer"
TIMEOUT, ODD = {"route": {"timeout": HALF_SECOND}}, {"route": {"timeout": "0.37s"}}
STREAM_IDLE = {"manager": {"stream_idle_timeout": HALF_SECOND}}
two_in_a_row("timeout", "UT", 504, path=STALL, timer=500, options=TIMEOUT)
two_in_a_row("odd-timeout", "UT", 504, path=STALL, timer=370, options=ODD)
two_in_a_row("idle", "SI", 504, path=STALL, timer=500, options=STREAM_IDLE)
two_in_a_row("client", "DC", path=STALL, client=clients.leaves("fin"))
two_in_a_row("good", "-", 200, path="/items", sidecar=("-", 200))
two_in_a_row("app-gone", "-", 503, path="/close-before-answer", sidecar=("UC", 503))
