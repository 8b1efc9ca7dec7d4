"""What no log says of a request: idle connections, connections without one, several at once.

Each makes a check, or is one: a function of (situation, report, truth) that says what is wrong.
"""

from bench import SITUATIONS
from judging import UNTELLABLE, Late, fires, judge


def keeps(kind, *sides):
    """A check: one side closed three connections for idleness, and there has to be a timer.
    `sides` are (leg, who, ms): ("down", "server") is the proxy towards its callers."""

    def check(row, report, truth):
        wrong = []
        for leg, who, ms in sides:
            port = row.port if leg == "down" else row.origin_port
            timers = [one for one in report.timers_of(port) if one.get("kind") == kind]
            said = [
                (one["closed_by"], one["count"], one["ms_min"], one["ms_max"]) for one in timers
            ]
            if not any(
                by == who and count == 3 and fires(ms, low) and fires(ms, high)
                for by, count, low, high in said
            ):
                # A tunnel is idle since its last byte.
                waited = [
                    one["idle_ms"] if kind == "keep-alive" else one["silence_ms"]
                    for one in report.connections_of(port)
                ]
                late = [span for span in waited if span and span > ms and not fires(ms, span)]
                if late:
                    raise Late(f"idle for {late} ms, configured are {ms}: so it is on a busy machine")
                wrong.append(
                    f"{leg}stream timer: said {said or 'none'}, but the {who} closed 3 of 3 "
                    f"idle connections after {ms} ms ({kind})"
                )
        return wrong

    return check


def connection_is(*verdicts):
    """A check: the downstream connection itself has one of these verdicts."""

    def check(row, report, truth):
        said = [one["verdict"] for one in report.connections_of(row.port)]
        if len(said) == 1 and said[0] in verdicts:
            return []
        return [f"downstream connection: said {said}, it is {' or '.join(verdicts)}"]

    return check


def gateway(row, report, truth):
    """A check: the leg behind the next proxy names this one's flags at `client_downstream`."""
    wrong = judge(row, report, truth)
    behind = next(one for one in SITUATIONS if (one.proxy, one.name) == (row.proxy, row.behind))
    for one in report.of(behind.origin_port, row.id):
        said = one["envoy"].get("client_downstream", [])
        if one["expected_timeout_ms"] is None:
            continue  # A guess: nothing announced the gateway's timer.
        if set(truth.down.flags) - UNTELLABLE - set(said):
            wrong.append(
                f"client_downstream: said {said}, the gateway's log says {truth.down.flags}"
            )
    return wrong


def queue_is_full(row, report, truth):
    """A check: the origin answered one SYN and not the other, and that is said."""
    wrong = judge(row, report, truth)
    said = [one["explanation"] for one in report.connections_of(row.origin_port) if one["verdict"]]
    if not any("accept queue" in (one or "") for one in said):
        wrong.append(f"upstream connection: said {said}, the bench has filled the accept queue")
    return wrong


def left_unanswered(row, report, truth):
    """A check: the proxy closed without an answer, and nobody was asked."""
    said = [(one["verdict"], one["certainty"]) for one in report.by_port[row.port]]
    if (
        len(said) == 1
        and said[0][0].startswith("server-")
        and "unanswered" in said[0][0]
        and said[0][1] == "certain"
    ):
        return []
    return [f"downstream: said {said}, the proxy closed without an answer"]


def answered_early(row, report, _):
    """A check: the origin's early answer is told to be none to rely on."""
    found = report.of(row.upstream_port, row.id)
    said = [(one["verdict"], one["certainty"], one["good"]) for one in found]
    if said == [("server-reset-early-answer", "certain", False)]:
        return []
    return [f"upstream: said {said}, the origin reset an early answer"]


def process_ended(row, report, truth):
    """A check: that is told once, with the connections that the end closed."""
    wrong = judge(row, report, truth)
    server = f"127.0.0.1:{row.origin_port}"
    ends = [one for one in report.summary["process_ends"] if one["server"] == server]
    if len(ends) != 1 or ends[0]["connections"] < row.options["ends"]:
        wrong.append(f"process ends: said {ends}, the origin's process ended")
    return wrong


def raced(row, report, truth):
    """A check of this: the second request was never answered."""
    said = [
        (one["verdict"], [f["kind"] for f in one["findings"]], one["certainty"])
        for one in report.by_port[row.port]
        if one["request_id"] == row.id + "-after"
    ]
    if said == [("server-closed-unanswered", ["keepalive-race"], "certain")]:
        return []
    return [f"downstream: said {said}, the request left after the proxy's FIN"]
