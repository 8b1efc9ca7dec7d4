"""How a report is held against the truth of a log."""

import collections

# Nothing on the wire tells that a request was tried before, or that a filter held it back.
UNTELLABLE = {"URX", "DI"}
# A log's duration begins when the proxy comes to read the request, and ends when it comes to log;
# a timer begins before the connection does. On a busy machine that is not what the wire shows:
# beyond so many milliseconds the situation is tried again.
MAX_OFF_MS = 250
MAY_BE_NEGATIVE = {"request_to_response", "after_previous"}


class Report:
    def __init__(self, document):
        self.exchanges, self.connections = document["exchanges"], document["connections"]
        self.summary = document["summary"]
        self.by_port = collections.defaultdict(list)
        for one in self.exchanges:
            self.by_port[port_of(one)].append(one)

    def of(self, port, request_id):
        """The exchanges of a server's port with this request id; without any id, all of them."""
        found = self.by_port[port]
        named = [one for one in found if one["request_id"] == request_id]
        return named or [one for one in found if one["request_id"] is None]

    def connections_of(self, port):
        return [one for one in self.connections if port_of(one) == port]

    def timers_of(self, port):
        return [one for one in self.summary["timers"] if port_of(one) == port]


def port_of(one):
    return int(one["server"].rsplit(":", 1)[1])


def closer(exchange):
    """Who is said to have ended the exchange."""
    verdict = exchange["verdict"]
    if verdict in ("ok", "upgraded", "unanswered"):
        return None
    # An answer that is no HTTP is the server's, whoever closed upon it.
    return "client" if verdict.startswith("client-") else "server"


def judge(row, report, truth):
    """What the report says wrongly, a sentence each."""
    wrong = []

    def hold(what, said, log):
        if said != log:
            wrong.append(f"{what}: said {said}, the log says {log}")

    late = None
    down = report.of(row.port, row.id)
    if row.other:
        return [f"downstream: said {len(down)} exchanges of HTTP/1"] if down else []
    if len(down) != 1:
        return [f"downstream: said {len(down)} exchanges, the log says 1"]
    exchange = down[0]
    hold("downstream status", exchange["status"], truth.down.status)
    if truth.down.closed is not False and not row.options.get("lingers"):
        hold("downstream closed by", closer(exchange), truth.down.closed)
    hold("downstream certainty", exchange["certainty"], "certain")
    flags_of(wrong, "downstream", exchange["envoy"].get("server", []), truth.down)
    # What a gateway passes on may be the next proxy's own: either is right.
    passes_on = row.behind or row.options.get("forged")
    if truth.down.own is not None and not passes_on:
        hold("answered by", exchange["answered_by"], "proxy" if truth.down.own else "server")
        if truth.down.own and exchange.get("proxy"):
            hold("software", exchange["proxy"]["software"].lower(), row.proxy)
    # Having cut an answer a proxy may linger: its log has the decision, not the close.
    if truth.ms is not None and truth.down.closed != "server" and exchange["verdict"] != "upgraded":
        took = duration(exchange)
        if took is None:
            wrong.append(f"downstream took: said nothing, the log says {truth.ms} ms")
        elif abs(took - truth.ms) > MAX_OFF_MS and not row.options.get("lingers"):
            late = f"it took {took:.0f} ms on the wire, and {truth.ms:.0f} ms in the log"
    wrong += logged(row, exchange, report, truth)
    status = truth.down.status or 0
    for kind in row.down_findings:
        if kind not in {one["kind"] for one in exchange["findings"]}:
            wrong.append(f"downstream findings: said no {kind}, which the bench has made")
    if exchange["good"] and (truth.down.closed or status >= 500 or status == 408):
        wrong.append("good: said true, the log says it was not")
    wrong += upstream(row, report, truth)
    for one in down + report.of(row.upstream_port, row.id):
        wrong += [
            f"{name}: said {ms} ms, and time does not run backwards"
            for name, ms in one["gaps"].items()
            if ms < 0 and name not in MAY_BE_NEGATIVE
        ]
    if late and not wrong:
        raise Late(late)
    return wrong


def logged(row, exchange, report, truth):
    """What is said of this proxy's log: where its answer tells, where its caller left it, and where
    its upstream did. Nothing need be said; what is said must stand in the log."""
    if not truth.words:
        return []
    said = []
    proxy = exchange.get("proxy") or {}
    if proxy.get("flag") and proxy["software"] == row.proxy:
        said.append(proxy["flag"])
    legs = [("server", [exchange]), ("client", report.of(row.upstream_port, row.id)[-1:])]
    for place, exchanges in legs:
        said += [
            line["line"]
            for one in exchanges
            for line in one["logs"]
            if line["place"] == place and line["software"] == row.proxy
        ]
    return [
        f"logs: said {', '.join(said)}, the log says {word}"
        for word in truth.words
        if said and not any(word in line or in_log(line, truth) for line in said)
    ]


def in_log(line, truth):
    """Whether all of what is said stands in the log."""
    return all(part in truth.said for part in line.split(", "))


def flags_of(wrong, where, said, leg):
    if leg.flags is None:
        return
    want = set(leg.flags) - UNTELLABLE
    if want and leg.closed == "server" and where == "downstream" and not said:
        return  # The client sees a cut answer, not why: nothing is said, nothing is wrong.
    if want - set(said) or (said and not want):
        log = ",".join(leg.flags) or "-"
        wrong.append(f"{where} flags: said {','.join(said) or '-'}, the log says {log}")


def upstream(row, report, truth):
    wrong = []
    found = report.of(row.upstream_port, row.id)
    if truth.up is None:
        if found:
            wrong.append(f"upstream: said {len(found)} exchanges, the log says that none was asked")
        return wrong
    if truth.up == "connect":
        failed = [
            one
            for one in report.connections_of(row.upstream_port)
            if (one["verdict"] or "").startswith(("connect-", "tls-"))
        ]
        if not failed:
            wrong.append("upstream: said no failed connect, the log says so")
        for one in failed:
            said = one["envoy"].get("client", [])
            if truth.down.flags is not None and "UF" not in said:
                wrong.append(
                    f"upstream connect flags: said {said}, the log says {truth.down.flags}"
                )
        return wrong
    if not found:
        return ["upstream: said no exchange, the log says that the origin was asked"]
    last = max(found, key=lambda one: one["events"][0]["frame"])
    for kind in row.findings:
        if kind not in {one["kind"] for one in last["findings"]}:
            wrong.append(f"upstream findings: said no {kind}, which the bench has made")
    if row.unseen:
        return wrong
    if row.closed is not False:
        truth.up.closed = row.closed
    if row.timer is not None:
        wrong += timer(row, last, truth)
    if truth.up.closed is not False and closer(last) != truth.up.closed:
        wrong.append(
            f"upstream closed by: said {closer(last)} ({last['verdict']}), "
            f"the log says {truth.up.closed}"
        )
    if last["certainty"] != "certain" and not row.options.get("unsettled"):
        wrong.append(f"upstream certainty: said {last['certainty_reason']}")
    # Where no timeout is announced, nothing tells one timer of the proxy's from another, or from
    # its caller's: that is a guess of the report, not a claim.
    guessed = last["verdict"] == "client-gave-up" and last["expected_timeout_ms"] is None
    if not guessed:
        flags_of(wrong, "upstream", last["envoy"].get("client", []), truth.up)
    if row.timer is not None and "UT" in (truth.up.flags or []):
        announced = last["expected_timeout_ms"]
        if announced != row.timer:
            wrong.append(f"announced: said {announced} ms, configured are {row.timer}")
    return wrong


def timer(row, exchange, truth):
    """The gap that the proxy's timer made, held against what was configured."""
    gaps = exchange["gaps"]
    silence = "SI" in (truth.up.flags or []) or row.options.get("silence")
    name = "response_silence" if silence and exchange["status"] else "request_to_client_close"
    if name == "response_silence" and name not in gaps:
        return [f"upstream timer: said no {name}, the log says {row.timer:.0f} ms"]
    ms = gaps.get(name)
    if ms is None:
        return [f"upstream timer: said no {name}, configured are {row.timer:.0f} ms"]
    if not fires(row.timer, ms):
        raise Late(f"said {name} {ms} ms, configured are {row.timer}: so it is on a busy machine")
    return []


class Late(Exception):
    """The situation did not occur as it was meant."""


def fires(timeout, ms):
    """Whether a gap is the timeout's, as a report would match it."""
    return timeout - max(10, timeout * 0.05) <= ms <= timeout + max(10, timeout * 0.03)


def duration(exchange):
    """From the request's first byte to what ended the exchange, in milliseconds."""
    gaps, at = exchange["gaps"], {}
    for event in exchange["events"]:
        at.setdefault(event["kind"], event["t"])
    if exchange["verdict"] == "ok" and "total" in gaps:
        return gaps["total"]
    ends = [
        at[kind] for kind in ("client_fin", "client_rst", "server_fin", "server_rst") if kind in at
    ]
    return (min(ends) - at["request_start"]) * 1000 if ends else None
