"""What can go wrong around an Envoy."""

from answers import RAW
from bench import (RAW_HEAD, SITUATIONS, Visit, again, connection_is, fills_queue, gateway, keeps, leaves, left_unanswered, plain, queue_is_full, races, raced, reads_late, sends,
                   sends_after_close, situation, speaks_tls, stalls, stays, waits)
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
    situation("envoy", name, want, client=more.pop("client", None) or plain(), **more)


def filter_of(name, kind, **config):
    return {"filters": [{"name": name, "typed_config": {"@type": f"{TYPE}.filters.http.{kind}", **config}}]}


# Answers that are as they should be.
envoy("good", code=200, details="via_upstream")
envoy("chunked", code=200, path="/chunked")
envoy("until-close", code=200, path="/until-close")
envoy("unavailable-of-the-origin", code=503, details="via_upstream", path="/unavailable")
envoy("missing-of-the-origin", code=404, details="via_upstream", path="/raw?answer=not-found-without-body")
envoy("timeout-of-the-origin", code=504, details="via_upstream", path="/raw?answer=gateway-timeout-of-its-own")
envoy("slow-answer", code=200, path="/items?delay=400")
envoy("slow-answer-by-the-network", code=200, upstream="relay", options={"relay": {"seconds": 0.3}})
envoy("slow-body", code=200, path="/segments?n=4&delay=120")
envoy("early-hints", code=200, path="/early-hints")
envoy("expect-continue", code=200, client=plain("POST", b"x" * 500, Expect="100-continue"))
envoy("early-answer", code=403, path="/early-answer", client=plain("POST", b"x" * 2000))
envoy("fin-behind-the-answer", code=200, path="/answer-half-closed")

# Timers.
envoy("route-timeout", "UT", 504, "response_timeout", path="/stall-before-answer", timer=500,
      options={"route": {"timeout": HALF_SECOND}})
envoy("route-timeout-late-answer", "UT", 504, path="/stall-before-answer?late=1", timer=500,
      options={"route": {"timeout": HALF_SECOND}})
envoy("route-timeout-odd", "UT", 504, path="/stall-before-answer", timer=370, options={"route": {"timeout": "0.37s"}})
envoy("route-timeout-inside-the-body", "UT", 200, "response_timeout", path="/stall-in-body", timer=500,
      options={"route": {"timeout": HALF_SECOND}})
envoy("route-timeout-inside-chunks", "UT", 200, path="/stall-in-chunks", timer=500,
      options={"route": {"timeout": HALF_SECOND}})
envoy("per-try-timeout", "URX,UT", 504, "upstream_per_try_timeout", path="/stall-before-answer", timer=300,
      options={"route": {"timeout": "5s", "retry_policy": {"retry_on": "5xx", "num_retries": 0, "per_try_timeout": "0.3s"}}})
envoy("per-try-timeout-retried", "URX,UT", 504, path="/stall-before-answer", timer=300,
      options={"route": {"timeout": "5s", "retry_policy": {"retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.3s"}}})
envoy("stream-idle-before-the-answer", "SI", 504, "stream_idle_timeout", path="/stall-before-answer", timer=500,
      options={"manager": {"stream_idle_timeout": HALF_SECOND}})
envoy("stream-idle-inside-the-body", "SI", 200, "stream_idle_timeout", path="/stall-in-body", timer=500,
      options={"manager": {"stream_idle_timeout": HALF_SECOND}})
envoy("stream-idle-before-the-announced", "SI", 504, path="/stall-before-answer", timer=500,
      options={"manager": {"stream_idle_timeout": HALF_SECOND}, "route": {"timeout": "3s"}})
envoy("stream-idle-inside-the-request", "SI", 408, client=stalls(),
      options={"manager": {"stream_idle_timeout": HALF_SECOND}})
envoy("route-idle-timeout", "SI", 504, path="/stall-before-answer", timer=600,
      options={"route": {"idle_timeout": "0.6s"}})
envoy("request-timeout", "-", 408, "request_overall_timeout", client=stalls(),
      options={"manager": {"request_timeout": HALF_SECOND}})
envoy("request-headers-timeout", "-", 408, client=sends("GET {target} HTTP/1.1\r\nHost: x\r\nX-Request"), upstream="none",
      options={"manager": {"request_headers_timeout": HALF_SECOND}, "action": {"direct_response": {"status": 200}}})
envoy("stream-duration", "-", 504, "max_duration_timeout", path="/stall-before-answer",
      options={"manager": {"common_http_protocol_options": {"max_stream_duration": HALF_SECOND}}})
envoy("stream-duration-of-the-upstream", "UMSDR", 504, path="/stall-before-answer",
      options={"upstream_common": {"max_stream_duration": HALF_SECOND}})

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
envoy("upstream-reset-until-close", "-", 200, "via_upstream", path="/until-close-reset", closed="server")
envoy("upstream-fin-in-the-request", "UC", 503, path="/close-in-request?after=1000", client=stalls())
envoy("upstream-reset-in-the-request", "UC", 503, path="/reset-in-request?after=1000", client=stalls())
envoy("network-cuts-the-body", path="/items?size=40000", upstream="relay", flags="UPE", code=200,
      options={"relay": {"after": 12000, "action": "rst"}})
envoy("network-closes-in-the-body", path="/items?size=40000", upstream="relay", flags="UPE", code=200,
      options={"relay": {"after": 12000, "action": "fin"}})
envoy("network-swallows-the-body", "UT", 200, path="/items?size=40000", upstream="relay", timer=600,
      options={"relay": {"after": 12000, "action": "silence"}, "route": {"timeout": "0.6s"}})
envoy("early-answer-and-reset", path="/early-close", flags="UC", code=503, client=plain("POST", b"x" * 3_000_000))
envoy("keep-alive-race", "UC", 503, BAD_GATEWAY, path="/close-next", client=again())
envoy("peer-gone-while-idle", "UT", 504, client=again(Visit.vanish),
      options={"route": {"timeout": "0.7s"}}, findings=("request-unacknowledged",),
      unseen="a kernel that repeats itself in vain holds the FIN back")
envoy("keep-alive-race-seen", "UC", 503, BAD_GATEWAY, path="/close-when-released", client=races,
      findings=("keepalive-race",), options={"alone": True})
envoy("client-inside-until-close", "DC", 200, path="/stall-until-close", client=leaves("fin", "part of the answer"))
envoy("route-timeout-until-close", "UT", 200, path="/stall-until-close", timer=500, options={"route": {"timeout": HALF_SECOND}})
envoy("lost-segments", code=200, path="/items?size=400000", findings=("retransmission",), options={
    "loses": ("-m", "length", "--length", "1000:65535", "-m", "statistic", "--mode", "nth", "--every", "3", "--packet", "1"),
    "way": "--sport"})
envoy("first-syn-lost", code=200, findings=("syn-retry",), options={
    "loses": ("--syn", "-m", "statistic", "--mode", "nth", "--every", "1000", "--packet", "0"), "cluster": {"connect_timeout": "5s"}})
envoy("slow-reader", code=200, path="/items?size=8000000", client=reads_late(1.2), down_findings=("zero-window",),
      options={"lingers": True})
RETRY = {"retry_policy": {"retry_on": "reset,connect-failure", "num_retries": 1, "retry_back_off": {"base_interval": "0.02s"}}}
envoy("retry-that-helps", code=200, path="/first-reset", options={"route": RETRY}, findings=("retry",))
envoy("retry-that-does-not", "URX,UC", 503, path="/reset-before-answer", options={"route": RETRY}, findings=("retry",))

# It cannot be reached, or must not be asked.
envoy("connect-refused", "UF", 503, BAD_GATEWAY, upstream="refused")
envoy("connect-refused-retried", "URX,UF", 503, upstream="refused", options={"route": RETRY})
envoy("connect-timeout", "UF", 503, BAD_GATEWAY, upstream="silent", options={"cluster": {"connect_timeout": "1.5s"}})
envoy("accept-queue-full", "UF", 503, BAD_GATEWAY, upstream="full", client=fills_queue, check=queue_is_full,
      options={"cluster": {"connect_timeout": "1.5s"}})
envoy("tls-handshake-stall", "UF", 503, "connection_timeout", upstream="origin", options={"upstream_tls": True})
envoy("no-route", "NR", 404, "route_not_found", upstream="none", options={"domains": ["elsewhere.example"]})
envoy("no-healthy-upstream", "UH", 503, "no_healthy_upstream", upstream="empty")
envoy("no-cluster", "NC", 503, "cluster_not_found", upstream="none", options={
    "action": {"route": {"cluster_header": "x-no-cluster"}}}, client=plain(X_No_Cluster="nowhere"))
envoy("overflow", "UO", 503, "overflow", options={"cluster": {"circuit_breakers": {"thresholds": [{"max_pending_requests": 0}]}}})
envoy("rbac", "-", 403, "rbac_access_denied", options=filter_of("envoy.filters.http.rbac", "rbac.v3.RBAC", rules={"action": "ALLOW"}))
BUCKET = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "60s"}
ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}, "runtime_key": "always"}
envoy("rate-limit", "RL", 429, "local_rate_limited", client=again(), options=filter_of(
    "envoy.filters.http.local_ratelimit", "local_ratelimit.v3.LocalRateLimit", stat_prefix="limit",
    token_bucket=BUCKET, filter_enabled=ALWAYS, filter_enforced=ALWAYS))
ALL = {"numerator": 100, "denominator": "HUNDRED"}
envoy("fault-abort", "FI", 503, "fault_filter_abort", options=filter_of(
    "envoy.filters.http.fault", "fault.v3.HTTPFault", abort={"http_status": 503, "percentage": ALL}))
envoy("fault-delay", "DI", 200, "via_upstream", options=filter_of(
    "envoy.filters.http.fault", "fault.v3.HTTPFault", delay={"fixed_delay": "0.3s", "percentage": ALL}))
envoy("direct-response", "-", 503, "direct_response", upstream="none", options={
    "action": {"direct_response": {"status": 503, "body": {"inline_string": "closed for today\n"}}}})
envoy("redirect", "-", 301, "direct_response", upstream="none", options={
    "action": {"redirect": {"path_redirect": "/there"}}})
envoy("body-too-large", "-", 413, "request_payload_too_large", client=plain("POST", b"x" * 3000), options=filter_of(
    "envoy.filters.http.buffer", "buffer.v3.Buffer", max_request_bytes=1000))
envoy("head-too-large", "DPE", 431, client=plain(X_Large="x" * 3000), upstream="none", options={
    "manager": {"max_request_headers_kb": 1}, "action": {"direct_response": {"status": 200}}})

# The downstream goes away.
for how in ("fin", "rst", "half"):
    envoy(f"client-{how}-while-waiting", "DC", path="/stall-before-answer", client=leaves(how))
    envoy(f"client-{how}-in-the-answer", "DC", 200, path="/stall-in-body", client=leaves(how, "part of the answer"))
for how in ("fin", "rst"):
    envoy(f"client-{how}-in-the-request", "DC", path="/items", client=leaves(how, "part of the request"))
envoy("client-leaves-before-the-timeout", "DC", path="/stall-before-answer", client=leaves("fin"),
      options={"route": {"timeout": "5s"}})

# What is no HTTP, from the client.
DIRECT = {"action": {"direct_response": {"status": 200}}}
envoy("request-with-bad-chunk", "DPE", 400, client=sends(
    RAW_HEAD.replace("GET", "POST") + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"))
for name, parts in {
    "proxy-protocol-unexpected": ["PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n" + RAW_HEAD + "\r\n"],
    "request-with-length-and-chunked": [RAW_HEAD.replace("GET", "POST") + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "request-with-two-lengths": [RAW_HEAD.replace("GET", "POST") + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"],
    "request-with-blank-in-target": ["GET {target}& blank HTTP/1.1\r\nHost: x\r\nX-Request-Id: {id}\r\n\r\n"],
    "request-with-bad-field": [RAW_HEAD + "no colon here\r\n\r\n"],
    "request-without-host": ["GET {target} HTTP/1.1\r\nX-Request-Id: {id}\r\n\r\n"],
}.items():
    flags = "-" if name == "request-without-host" else "DPE"
    envoy(name, flags, 400, client=sends(*parts), upstream="none", options=DIRECT)

# What is no HTTP, or badly framed, from the upstream. What Envoy makes of each its log says.
TAKEN = {"status-without-reason", "bare-lf", "folded-field", "field-with-bare-cr", "chunk-longer-than-said",
         "version-unknown", "switching-unasked", "answer-longer-than-said"}
# Envoy refuses them; nothing in the RFCs makes it.
STRICT = {"transfer-encoding-gzip-chunked": "a coding that it does not know", "two-lengths-alike": "RFC 9110 8.6 lets it choose",
          "lengths-in-a-list": "RFC 9110 8.6 lets it choose", "length-on-204": "RFC 9110 8.6 tells senders only",
          "head-too-large": "a limit of its own"}
for name in RAW:
    if name not in ("not-found-without-body", "gateway-timeout-of-its-own"):
        envoy(f"framing-{name}", "-" if name in TAKEN else "UPE", path=f"/raw?answer={name}", unseen=STRICT.get(name))
envoy("upstream-plain-for-tls", "UF", 503, "TLS_error", options={"upstream_tls": True, "plain_origin": True})

# Upgrades and idle connections.
UPGRADE = {"manager": {"upgrade_configs": [{"upgrade_type": "websocket"}], "stream_idle_timeout": HALF_SECOND}}
envoy("websocket-idle", "SI", 101, path="/websocket-silent", options=UPGRADE,
      check=keeps("tunnel-idle", ("down", "server"), ("up", "client")), client=waits(3,
    Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Version="13", Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ=="))
IDLE = {"idle_timeout": HALF_SECOND}
envoy("downstream-idle", code=200, client=waits(3), options={"manager": {"common_http_protocol_options": IDLE}},
      # On top of the timeout come drain_timeout, 5 s, and delayed_close_timeout, 1 s.
      check=keeps("keep-alive", ("down", "server"), ms=6500))
envoy("request-behind-the-proxys-fin", code=200, client=sends_after_close, check=raced,
      options={"manager": {"common_http_protocol_options": IDLE}})
envoy("upstream-idle", code=200, client=stays(0.8), path="/items?delay=50", options={"upstream_common": IDLE},
      check=keeps("keep-alive", ("up", "client")))
envoy("origin-idle", code=200, client=stays(0.8), path="/items?delay=50", options={"origin_idle": 0.5},
      check=keeps("keep-alive", ("up", "server")))

# Another protocol than the listener's.
PROXY_PROTOCOL = {"listener_filters": [{"name": "proxy_protocol", "typed_config": {
    "@type": f"{TYPE}.filters.listener.proxy_protocol.v3.ProxyProtocol"}}]}
envoy("proxy-protocol-missing", logged=False, options=PROXY_PROTOCOL, check=left_unanswered)
envoy("proxy-protocol", code=200, options=PROXY_PROTOCOL,
      client=sends("PROXY TCP4 192.0.2.7 127.0.0.1 4711 {port}\r\n" + RAW_HEAD + "Connection: close\r\n\r\n"))
envoy("tls-to-plain", "DPE", 400, client=speaks_tls, upstream="none", options=DIRECT, check=connection_is("tls-refused-plain"))
envoy("plain-to-tls", logged=False, options={"tls": True}, check=connection_is("plain-refused-tls"))

# Two in a row: a gateway with a timeout before a sidecar that calls its app from 127.0.0.6.
BEFORE_SIDECAR = {
    "timeout": ("UT", 504, "/stall-before-answer", plain(), {"route": {"timeout": HALF_SECOND}}, "DC", None),
    "odd-timeout": ("UT", 504, "/stall-before-answer", plain(), {"route": {"timeout": "0.37s"}}, "DC", None),
    "idle": ("SI", 504, "/stall-before-answer", plain(), {"manager": {"stream_idle_timeout": HALF_SECOND}}, "DC", None),
    "client": ("DC", None, "/stall-before-answer", leaves("fin"), {}, "DC", None),
    "good": ("-", 200, "/items", plain(), {}, "-", 200),
    "app-gone": ("-", 503, "/close-before-answer", plain(), {}, "UC", 503),
}
for name, (flags, code, path, client, options, flags_of_sidecar, code_of_sidecar) in BEFORE_SIDECAR.items():
    shared = f"faults-envoy-gateway-{name}"
    envoy(f"sidecar-{name}", flags_of_sidecar, code_of_sidecar, path=path, known_as=shared, options={"bind": "127.0.0.6"})
    SITUATIONS[-1].client = None
    envoy(f"gateway-{name}", flags, code, path=path, client=client, known_as=shared, behind=f"sidecar-{name}",
          options=options, check=gateway)
