"""The tutorial's chain of two Envoys, and what Envoy writes about an origin that misbehaves."""

import socket
import subprocess
import threading

from envoy import Envoy, Tls, cluster, deliver_logs, route
from lab import case, wait, wait_closed
from origin import BEHAVIOURS, Origin
from wire import Client

POD = "10.244.0.5"      # the pod's own address
SIDECAR_FROM = "127.0.0.6"      # the source address of a sidecar's connections to its app
APP = f"{POD}:3000"
GATEWAY = "10.244.0.9"
USER = "10.244.0.1"


def add_addresses():
    for address in (POD, GATEWAY, USER):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)


def curl(*arguments, ok=(0,)):
    """curl's own output: the status codes, one a line."""
    done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}\n", "-A", "curl/8", *arguments], capture_output=True, text=True)
    if done.returncode not in ok:
        raise AssertionError(f"curl {arguments}: exit {done.returncode}, {done.stderr}")
    return [int(line) for line in done.stdout.split()]


def curl_each(urls, *arguments):
    """Several URLs over one keep-alive connection; curl's -o is wanted once for each."""
    command = []
    for url in urls:
        command += ["-o", "/dev/null", url]
    done = subprocess.run(["curl", "-sS", "-w", "%{http_code}\n", "-A", "curl/8", *arguments, *command], capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


def through_gateway(exchanges):
    return curl_each([f"http://{GATEWAY}:8080{entry['path']}" for entry in exchanges], "--interface", USER, "-H", "Host: catalog")


def give_up(truth, path, **more):
    truth.add("GET", path, "client-gave-up", None, late_status=200, **more)


@case("tutorial-envoy",
      "The tutorial's puzzle behind two plain Envoys: the gateway's route timeout of 0.5 s ends one slow request; the request carries `x-envoy-expected-rq-timeout-ms: 500`; the late answer runs into an RST",
      "curl → gateway Envoy (timeout 0.5 s) → sidecar Envoy (from 127.0.0.6) → app on 10.244.0.5:3000; `tcpdump -i lo`, the app's port only", alone=True)
def tutorial_envoy(case):
    add_addresses()
    app = Origin(POD, 3000, quick_ack=True)
    sidecar = Envoy(case, "sidecar", POD, 15006, [route("inbound")], [cluster("inbound", POD, 3000, bind=SIDECAR_FROM)], trusted=True)
    gateway = Envoy(case, "gateway", GATEWAY, 8080, [route("catalog", "0.5s")], [cluster("catalog", POD, 15006, bind=GATEWAY)], edge=True, trusted=True)
    case.truth.server = APP
    case.capture("tcp port 3000")
    for path in ("/items", "/items?page=2", "/items/42", "/items"):
        case.truth.add("GET", path, "ok", 200, expected_timeout_ms=500)
    give_up(case.truth, "/items?delay=2000", expected_timeout_ms=500)
    for path in ("/items?page=3", "/items"):
        case.truth.add("GET", path, "ok", 200, expected_timeout_ms=500)
    codes = through_gateway(case.truth.exchanges)
    assert codes == [200, 200, 200, 200, 504, 200, 200], codes
    wait("the late answer", lambda: app.done["/items?delay=2000"])
    gateway.wait_logged(7)
    sidecar.wait_logged(7)
    case.truth.connections = {"total": 2}
    case.truth.summary = {"success_rates": [{"server": APP, "counted": 7, "good_for_client": 6, "good_for_server": 7}], "timers": []}
    case.finish()
    deliver_logs(case, gateway, sidecar)


@case("tutorial-istio",
      "The tutorial's puzzle as Istio shows it: 10 good requests and 4 that a gateway timeout of 0.5 s ended. Nothing announces the timeout; the gaps are a few ms short of 500, enough of them for a timer line; `client_side` 10/14, `server_side` 14/14",
      "as tutorial-envoy, with mutual TLS and a new connection for each request between gateway and sidecar, and a sidecar that strips its caller's `x-envoy-…` headers as Istio's inbound listener does", alone=True)
def tutorial_istio(case):
    add_addresses()
    app = Origin(POD, 3000, quick_ack=True)
    tls = Tls(case.work)
    sidecar = Envoy(case, "sidecar", POD, 15006, [route("inbound", name="default")], [cluster("inbound", POD, 3000, bind=SIDECAR_FROM)],
                    tls=tls.context("sidecar", "gateway"))
    gateway = Envoy(case, "gateway", GATEWAY, 8080, [route("catalog", "0.5s")],
                    [cluster("catalog", POD, 15006, bind=GATEWAY, tls=tls.context("gateway", "sidecar"), per_connection=1)], edge=True)
    case.truth.server = APP
    case.capture("tcp port 3000", nano=False)
    order = "ggggsggsggsggs"
    for number, kind in enumerate(order, 1):
        if kind == "g":
            case.truth.add("GET", f"/items/{number}", "ok", 200)
        else:
            give_up(case.truth, f"/items?delay={2000 + number}", timeout_guess_ms=500)
    codes = through_gateway(case.truth.exchanges)
    assert codes == [200 if kind == "g" else 504 for kind in order], codes
    wait("the late answers", lambda: all(app.done[e["path"]] for e in case.truth.exchanges))
    gateway.wait_logged(14)
    sidecar.wait_logged(14)
    case.truth.connections = {"total": 4}
    case.truth.summary = {"success_rates": [{"server": APP, "counted": 14, "good_for_client": 10, "good_for_server": 14}],
                          "timers": [{"server": APP, "closed_by": "client", "count": 4, "guess_ms": 500}]}
    case.finish()
    deliver_logs(case, gateway, sidecar)


@case("istio-pod-any",
      "A whole pod with `-i any` (Linux cooked v2): plain HTTP from a client through `eth0` to a gateway, its mutual-TLS leg to the sidecar, the sidecar's leg to the app on `lo`; kubelet-like probes on port 15021; DNS and ARP beside them. The gateway's own exchanges are 504s, the app's are give-ups",
      "two network namespaces joined by a veth pair; gateway, sidecar and app in the pod's, curl in the other", peers=("client",), alone=True)
def istio_pod_any(case):
    pod, client = case.namespaces
    user_address, gateway_address = "10.244.0.1", POD
    def inside(namespace, *command):
        return case.run(["ip", "netns", "exec", namespace, *command])
    case.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "veth0", "netns", client])
    for namespace, link, address in ((pod, "eth0", gateway_address), (client, "veth0", user_address)):
        # No IPv6 on the pair: its neighbour discovery would come at times of its own.
        inside(namespace, "sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{link}/disable_ipv6")
        inside(namespace, "ip", "address", "add", f"{address}/24", "dev", link)
        inside(namespace, "ip", "link", "set", link, "up")
    inside(client, "ip", "link", "set", "lo", "up")
    app = Origin(POD, 3000)
    dns = Dns(POD)
    tls = Tls(case.work)
    sidecar = Envoy(case, "sidecar", POD, 15006, [route("inbound", name="default")], [cluster("inbound", POD, 3000, bind=SIDECAR_FROM)],
                    tls=tls.context("sidecar", "gateway"))
    gateway = Envoy(case, "gateway", POD, 8080, [route("catalog", "0.5s")],
                    [cluster("catalog", POD, 15006, tls=tls.context("gateway", "sidecar"))], edge=True, ready_port=15021)
    case.capture("tcp or udp or arp", interface="any")
    case.truth.server = None
    gateway_hop, app_hop, probe_hop = f"{POD}:8080", APP, f"{POD}:15021"

    def curl_there(*arguments):
        done = inside(client, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}\n", *arguments)
        return [int(line) for line in done.stdout.split()]

    def user(path, good=True):
        case.truth.add("GET", path, "ok", 200 if good else 504, server=gateway_hop)
        if good:
            case.truth.add("GET", path, "ok", 200, server=app_hop)
        else:
            give_up(case.truth, path, server=app_hop, timeout_guess_ms=500)
        codes = curl_there("-A", "curl/8", "-H", "Host: catalog", f"http://{POD}:8080{path}")
        assert codes == [200 if good else 504], codes

    def probe():
        case.truth.add("GET", "/healthz/ready", "ok", 200, server=probe_hop, probe=True)
        codes = curl_there("-A", "kube-probe/1.36", "-H", "Connection: close", f"http://{POD}:15021/healthz/ready")
        assert codes == [200], codes

    probe()
    for number in range(1, 5):
        dns.ask("catalog.shop.svc.cluster.local")
        user(f"/items/{number}")
    for number in range(1, 4):
        user(f"/items?delay={1000 + number}", good=False)
        probe()
    for number in range(5, 7):
        dns.ask("catalog.shop.svc.cluster.local")
        user(f"/items/{number}")
    wait("the late answers", lambda: all(app.done[f"/items?delay={1000 + number}"] for number in range(1, 4)))
    legs = [len({line["upstream_local_address"] for line in proxy.wait_logged(9)}) for proxy in (gateway, sidecar)]
    wait_closed(8080, 15021)
    # Each curl has a connection of its own; how often the proxies used theirs again is in their logs.
    case.truth.connections = {"total": 9 + 4 + sum(legs), "tls": legs[0], "http/1": 9 + 4 + legs[1]}
    case.truth.summary = {
        "success_rates": [{"server": gateway_hop, "counted": 9, "good_for_client": 6, "good_for_server": 6},
                          {"server": app_hop, "counted": 9, "good_for_client": 6, "good_for_server": 9}],
        # On the encrypted leg it is an estimate.
        "timers": [{"server": server, "closed_by": "client", "count": 3, "guess_ms": 500} for server in (app_hop, f"{POD}:15006")]}
    case.finish()
    deliver_logs(case, gateway, sidecar)


class Dns:
    """UDP noise: a name server that knows one answer, and its client."""

    def __init__(self, address):
        self.address, self.asked = address, 0
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind((address, 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            question, asker = self.server.recvfrom(512)
            answer = question[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\0" + question[12:] + b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x0a\x60\0\x0a"
            self.server.sendto(answer, asker)

    def ask(self, name):
        self.asked += 1
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.sendto(self.asked.to_bytes(2, "big") + b"\x01\0\0\x01\0\0\0\0\0\0" + labels + b"\0\x01\0\x01", (self.address, 53))
            client.recv(512)


@case("envoy-verdicts",
      "Envoy before an origin that misbehaves, with Envoy's own flags beside: UC, UPE, UF, URX, DC, UT",
      "curl → Envoy → origin on 127.0.0.1:3000; port 3001 closed, `/retried` with two retries of failed connects; the two origin ports on `lo`")
def envoy_verdicts(case):
    origin = Origin("127.0.0.1", 3000)
    retries = {"retry_policy": {"retry_on": "connect-failure", "num_retries": 2}}
    routes = [route("closed", prefix="/refused"), route("closed", prefix="/retried", **retries),
              route("origin", "0.4s", prefix="/timeout"), route("origin")]
    proxy = Envoy(case, "gateway", "127.0.0.1", 8080, routes, [cluster("origin", "127.0.0.1", 3000), cluster("closed", "127.0.0.1", 3001)], edge=True)
    truth = case.truth
    truth.server = "127.0.0.1:3000"
    case.capture("tcp port 3000 or tcp port 3001")
    base = "http://127.0.0.1:8080"

    def seen(path, verdict, status, log, code, ok=(0,), arguments=(), method="GET", **more):
        truth.add(method, path, verdict, status, envoy_flags=log, envoy_code=code, **more)
        codes = curl(*arguments, base + path, ok=ok)
        # An answer cut inside its body has had its 200 sent on already.
        assert codes == [code], (path, codes)

    seen("/items", "ok", 200, "-", 200)
    seen("/unavailable", "ok", 503, "-", 503)
    seen("/close-before-answer", "server-closed-unanswered", None, "UC", 503)
    seen("/close-before-answer?delay=300", "server-closed-unanswered", None, "UC", 503)
    seen("/reset-before-answer", "server-reset-unanswered", None, "UC", 503)
    seen("/reset-before-answer?delay=300", "server-reset-unanswered", None, "UC", 503)
    seen("/chunked-cut", "server-truncated-response", 200, "?", 200, ok=(0, 18, 56))
    seen("/chunked-without-end", "server-truncated-response", 200, "?", 200, ok=(0, 18, 56))
    seen("/chunked-reset", "server-truncated-response", 200, "?", 200, ok=(0, 18, 56))
    seen("/close-in-body", "server-truncated-response", 200, "?", 200, ok=(0, 18, 56))
    seen("/reset-in-body", "server-truncated-response", 200, "?", 200, ok=(0, 18, 56))
    seen("/close-in-head", "server-truncated-response", 200, "?", 502, ok=(0, 18, 56))
    seen("/garbage", "server-invalid-response", None, "?", 502)
    seen("/stall-before-answer?late=1", "client-gave-up", None, "DC", 0, ok=(28,), arguments=("--max-time", "0.3"), late_status=200)
    wait("the late answer", lambda: origin.done["/stall-before-answer?late=1"])
    seen("/stall-in-body", "client-gave-up-mid-response", 200, "DC", 200, ok=(28,), arguments=("--max-time", "0.3"))
    wait("the late rest", lambda: origin.done["/stall-in-body"])
    truth.add("GET", "/timeout", "client-gave-up", None, expected_timeout_ms=400, envoy_flags="UT", envoy_code=504, late_status=200)
    BEHAVIOURS["timeout"] = lambda talk: (talk.until_client_closes(), talk.answer(body=b"late\n"))[0]
    assert curl(base + "/timeout") == [504]
    wait("the late answer", lambda: origin.done["/timeout"])
    for path in ("/refused", "/retried"):
        assert curl(base + path) == [503]
    seen("/items?last", "ok", 200, "-", 200)
    lines = proxy.wait_logged(len(truth.exchanges) + 2)
    by_path = {line["path"]: line for line in lines}
    for entry in truth.exchanges:
        # What Envoy wrote is a fact about Envoy, taken from its log; what was expected is asserted above by its code.
        wrote = by_path[entry["path"]]
        assert entry["envoy_flags"] in ("?", wrote["response_flags"]), (entry, wrote)
        entry["envoy_flags"], entry["envoy_code"] = wrote["response_flags"], wrote["response_code"]
    used = {line["upstream_local_address"] for line in lines} - {None}
    truth.connections = {"total": len(used) + 4, "connect-refused": 4}
    case.finish()
    deliver_logs(case, proxy)
