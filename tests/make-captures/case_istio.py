"""A real Istio: what its ingress gateway and the sidecar of a pod behind it make of HTTP/2 and gRPC.

It takes a Kubernetes with Istio on this machine, which the project does not start: $ISTIO is its kubeconfig, $PLUGIN a
kubectl-meshsniff that carries agents. `kubectl` and `ctr` are taken from the PATH, the nodes' containerd is this machine's, and what is made there is
taken away again but for the form of Istio's access log. The capture is the plugin's own: the gateway with both its sides, and `lo` of the pod.
"""

import json
import os
import re
import shutil
import subprocess
import time

from envoy import LOG_KEYS
from lab import case, wait
from streams import Streams

HERE = os.path.dirname(os.path.abspath(__file__))
SERVICE = "/shop.v1.Catalog"
IMAGE = "docker.io/local/istio-shop:1"
# Istio's own keys, and what gRPC and retries have.
KEYS = {**LOG_KEYS, "grpc_status": "%GRPC_STATUS_NUMBER%", "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "upstream_protocol": "%UPSTREAM_PROTOCOL%"}
PORTS = "tcp port 8080 or tcp port 3000 or tcp port 50051 or tcp port 50052 or tcp port 50059"


class Mesh:
    """The cluster, with the shop in it."""

    def __init__(self, case):
        self.case, self.kubeconfig = case, os.environ["ISTIO"]
        self.begun = None

    def kubectl(self, *arguments, **more):
        done = subprocess.run(["kubectl", "--kubeconfig", self.kubeconfig, *arguments], stdout=subprocess.PIPE, text=True, check=True, **more)
        return done.stdout

    def start(self, program):
        """The image, the log's form, and the pods."""
        root, archive = os.path.join(self.case.work, "root"), os.path.join(self.case.work, "shop.tar")
        os.makedirs(root)
        shutil.copy(program, os.path.join(root, "shop"))
        subprocess.run(["python3", os.path.join(HERE, "..", "cluster", "node", "image.py"), "--name", IMAGE, "--architecture", "amd64",
                        root, archive, "/shop"], check=True)
        subprocess.run(["ctr", "-n", "k8s.io", "images", "import", archive], check=True, stdout=subprocess.DEVNULL)
        mesh = json.loads(self.kubectl("-n", "istio-system", "get", "configmap", "istio", "-o", "json"))["data"]["mesh"]
        mesh = re.sub(r"(?m)^accessLogFormat:.*\n?", "", mesh) + "\naccessLogFormat: " + json.dumps(json.dumps(KEYS)) + "\n"
        self.kubectl("-n", "istio-system", "patch", "configmap", "istio", "--type", "merge", "-p", json.dumps({"data": {"mesh": mesh}}))
        self.kubectl("apply", "-f", os.path.join(HERE, "istio-shop", "shop.yaml"))
        self.kubectl("-n", "shop", "rollout", "status", "deployment", "--timeout=180s")
        self.shop, self.caller = (self.pod("shop", "app=" + name) for name in ("shop", "caller"))
        self.gateway = self.pod("istio-system", "istio=ingressgateway")
        self.kubectl("-n", "istio-system", "label", "pod", self.gateway["metadata"]["name"], "captured=shop", "--overwrite")

    def stop(self):
        self.kubectl("-n", "istio-system", "label", "pod", self.gateway["metadata"]["name"], "captured-")
        self.kubectl("delete", "-f", os.path.join(HERE, "istio-shop", "shop.yaml"))

    def pod(self, namespace, labels):
        pods = json.loads(self.kubectl("-n", namespace, "get", "pod", "-l", labels, "-o", "json"))["items"]
        (pod,) = [pod for pod in pods if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]]
        return pod

    def lines(self, pod, container):
        """The lines of JSON that a container has written since the scenario began."""
        metadata = pod["metadata"]
        text = self.kubectl("-n", metadata["namespace"], "logs", metadata["name"], "-c", container, "--since-time", self.begun)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def log(self, name, pod):
        """The calls in a proxy's access log."""
        lines = (line for line in self.lines(pod, "istio-proxy") if "response_flags" in line)
        return [{"proxy": name, **{key: line.get(key) for key in KEYS}} for line in lines if re.match(r"/(items|shop\.v1)", line["path"] or "")]


class Client:
    """The shop's client, here or in a pod, which takes orders."""

    def __init__(self, case, *command):
        self.child = case.processes.start([*command, "client"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.calls = 0

    def order(self, **order):
        self.calls += 1
        self.child.stdin.write(json.dumps({"call": f"call-{self.calls}", **order}) + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def end(self):
        self.child.stdin.close()
        self.child.wait(10)


def rejects(client, to):
    """Whether the gateway does not yet have the routes, which istiod sends it when it pleases. Nobody in the pod is asked: its
    connections are to begin in the capture."""
    outcome = client.order(to=to, method="GET", path="/ready", headers={"authority": "shop.example", "x-to": "nobody"})
    return outcome["message"] != "no healthy upstream"


@case("istio-grpc",
      "A real Istio: HTTP/2 and gRPC from a user through the ingress gateway to a pod with a sidecar, both in one capture of the plugin's own, the logs of both Envoys beside. All kinds of statuses, streams of answers, a client's deadline, a client that cancels, a route's timeout of 500 ms, UNAVAILABLE that the gateway tries again, a server that stops in the middle of a call, a port that nothing listens on, a service without pods; the leg between the two is mutual TLS",
      "client and server of google.golang.org/grpc and net/http in tests/make-captures/istio-shop; Kubernetes, Istio 1.31 and `kubectl meshsniff -A -l captured=shop` with a filter for the ports",
      go="istio-shop", alone=True, cluster=True)
def istio_grpc(case):
    program = os.path.join(HERE, ".venv", "go", "istio-shop")
    mesh = Mesh(case)
    mesh.start(program)
    try:
        scenario(case, mesh, program)
    finally:
        mesh.stop()


def scenario(case, mesh, program):
    gateway_hop, pod_address = mesh.gateway["status"]["podIP"] + ":8080", mesh.shop["status"]["podIP"]
    user = Client(case, program)
    wait("the gateway to have its routes", lambda: not rejects(user, gateway_hop))
    user.end()
    time.sleep(1.1)    # kubectl's --since-time has seconds
    mesh.begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path = os.path.join(case.work, case.name + ".pcapng")
    with open(path + ".stderr", "wb") as errors:
        plugin = case.processes.start([os.environ["PLUGIN"], "--kubeconfig", mesh.kubeconfig, "-A", "-l", "captured=shop", "--agent", "carried", "--filter", PORTS, "-w", path],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)

    def said():
        with open(path + ".stderr") as errors:
            return errors.read()
    wait("the plugin to capture", lambda: plugin.poll() is None and said().count("capturing on") >= 2, 90)

    user = Client(case, program)
    streams = Streams(case, gateway_hop)
    orders = []

    def told(order, verdict="ok", sent=True, reset=None, here=None, there=None, note=None, attempts=1):
        """An order, and what becomes of it: `sent` if the gateway's answer has a status of HTTP's. `there` are the hops to the pod."""
        order["headers"] = {"authority": "shop.example", **order["headers"]}
        outcome = user.order(to=gateway_hop, **order)
        # The gateway takes a call's deadline for its own: it may answer before the client's timer.
        if order.get("deadline_ms") and outcome["status"] == 14:
            verdict, sent, reset = "ok", True, None
        orders.append((order, outcome, {"verdict": verdict, "sent": sent, "reset": reset, "note": note, **(here or {})}, there or {}, attempts))
        time.sleep(0.05)
        return outcome

    def call(method, *text, status=0, slow=False, to=None, most=None, deadline=None, cancel=None, **more):
        headers = {**({"x-slow": "1"} if slow else {}), **({"x-to": to} if to else {})}
        order = {"as": "grpc", "path": f"{SERVICE}/{method}", "text": text, "headers": headers, "most": most or 0, "deadline_ms": deadline or 0, "cancel_ms": cancel or 0}
        outcome = told(order, **more)
        assert outcome["status"] in (status if isinstance(status, tuple) else (status,)), (order, outcome)

    def get(path, status=200, slow=False, method="GET", text=(), cancel=None, **more):
        order = {"as": "items", "method": method, "path": path, "text": text, "headers": {"x-slow": "1"} if slow else {}, "cancel_ms": cancel or 0}
        outcome = told(order, **more)
        assert outcome["status"] == status, (order, outcome)

    gone = {"verdict": "client-gave-up", "status": None, "reset": ("client", "INTERNAL_ERROR")}
    gone_inside = {"verdict": "client-gave-up-mid-response", "status": 200, "reset": ("client", "INTERNAL_ERROR")}
    mine = {"verdict": "client-gave-up", "sent": False, "reset": ("client", "CANCEL")}
    call("GetItem", "item=tea")
    call("ListItems", "count=5&gap=20")
    call("Chat", "one", "two", "three")
    call("GetItem", "status=5&message=no such item", status=5, note="trailers-only")
    call("GetItem", "status=13&message=Käse ist aus: 100 %25 weg", status=13, note="trailers-only; the message is percent-encoded")
    call("ListItems", "count=2&status=8&message=that is all", status=8, note="status in trailers after two messages")
    call("Nothing", "item=tea", status=12, note="no such method")
    call("GetItem", "fails=1", note="UNAVAILABLE, which the gateway tries again", attempts=2)
    call("GetItem", "status=14&message=closed for today", status=14, note="UNAVAILABLE, which the gateway tries again in vain", attempts=3)
    # The gateway makes a grpc-timeout of it, by which the sidecar goes: DEADLINE_EXCEEDED is its answer, UNAVAILABLE the gateway's,
    # whichever timer is the first.
    for sleep in range(3000, 3003):
        call("GetItem", f"sleep={sleep}", status=(4, 14), slow=True, there=gone, note="the route's timeout of 500 ms")
    call("ListItems", "count=2&stall=", status=13, slow=True, verdict="server-truncated-response", reset=("server", "INTERNAL_ERROR"), there=gone_inside,
         note="the route's timeout of 500 ms inside a stream of answers: the gateway resets it, and the client's library has a word of its own for that")
    call("GetItem", "sleep=3010", status=(4, 14), deadline=300, to="deadline", there=gone, note="the client's deadline of 300 ms", **mine)
    call("GetItem", "sleep=3020", status=1, cancel=200, there=gone, note="cancelled after 200 ms", **mine)
    call("ListItems", "count=2&stall=", status=1, most=2, there=gone_inside, verdict="client-gave-up-mid-response", reset=("client", "CANCEL"), note="cancelled after two messages")
    call("GetItem", "item=tea", to="stopped")
    call("GetItem", "stop=", status=14, to="stopped", there={"verdict": "server-closed-unanswered", "status": None, "reset": None},
         note="the server closes its connections in the middle of the call; what the gateway tries again is refused")
    call("GetItem", "item=tea", status=14, to="closed", attempts=0, note="nothing listens on the pod's port")
    call("GetItem", "item=tea", status=14, to="nobody", attempts=0, note="a service without pods")
    call("GetItem", "item=rice")
    get("/items/1")
    get("/items/2", method="POST", text=("tea",))
    get("/items/3?status=404", status=404)
    get("/items/4?status=503", status=503)
    get("/items/5?delay=3003", status=504, slow=True, there=gone, note="the route's timeout of 500 ms")
    get("/items/6?delay=3004", status=0, cancel=200, there=gone, note="cancelled after 200 ms", **mine)
    get("/items/7?abort=", status=503, note="the server resets the stream",
        there={"verdict": "server-reset-unanswered", "status": None, "reset": ("server", "INTERNAL_ERROR")})
    get("/items/8")
    user.end()

    # Those that were given up have a handler that ends a little later.
    wait("the log of the gateway", lambda: len(mesh.log("gateway", mesh.gateway)) >= len(orders), 60)
    time.sleep(3)
    plugin.send_signal(2)
    plugin.wait(30)
    case.deliver(os.path.basename(path))
    logs = sorted((line for name, pod in (("gateway", mesh.gateway), ("sidecar", mesh.shop)) for line in mesh.log(name, pod)), key=lambda line: line["start_time"])
    with open(os.path.join(case.out, case.name + ".envoy.jsonl"), "w") as file:
        file.writelines(json.dumps(line) + "\n" for line in logs)
    served = {}
    for entry in mesh.lines(mesh.shop, "shop"):
        served.setdefault(entry["call"], []).append(entry)
    write(case, streams, orders, served, pod_address)
    refused = sum(1 for line in logs if line["proxy"] == "sidecar" and "UF" in line["response_flags"])
    tls = len({line["upstream_local_address"] for line in logs if line["proxy"] == "gateway"} - {None})
    plain = len(streams.connections)
    case.truth.connections = {"total": plain + tls + refused, "http/2": plain, "tls": tls, "connect-refused": refused}
    case.truth.write(case.out, os.path.basename(path))
    streams.write(os.path.basename(path))


def write(case, streams, orders, served, pod_address):
    """Each order at the gateway, and then where it came to at the pod."""
    for order, outcome, here, there, attempts in orders:
        grpc = order["path"].startswith(SERVICE)
        note = {"note": here["note"]} if here["note"] else {}
        sent, status, message = here["sent"], outcome["status"], outcome["message"] or None
        common = {"reset": here["reset"], "client_status": status, "client_message": message, **note}
        if grpc:
            # What the client's library says of a call that was reset is its own.
            whole = sent and not here["reset"]
            streams.grpc(outcome["connection"], outcome["stream"], order["path"], 200 if sent else None, status if whole else None, message if whole else None,
                         (len(order["text"]), outcome["received"]), here["verdict"], **common)
        else:
            streams.add(outcome["connection"], outcome["stream"], order["method"], order["path"], status or None, here["verdict"], **common)
        entries = served.get(outcome["call"], [])
        assert len(entries) == attempts, (order, outcome, entries)
        for number, entry in enumerate(entries, 1):
            ended = there if there and number == len(entries) else {"verdict": "ok", "status": 200 if grpc else entry["status"], "reset": None}
            whole = not there or ended is not there
            again = {"note": f"attempt {number} of {len(entries)}"} if len(entries) > 1 else {}
            # Of a call's timeout the gateway makes a grpc-timeout.
            timer = "expected_timeout_ms" if grpc else "timeout_guess_ms"
            timeout = {timer: 500} if order["headers"].get("x-slow") and ended["verdict"] == "client-gave-up" else {}
            common = {"reset": ended["reset"], "request_id": entry["request_id"], "server": f"{pod_address}:{entry['server']}", "expect": timeout, **again}
            if grpc:
                streams.grpc(entry["connection"], entry["stream"], entry["path"], ended["status"], entry["status"] if whole else None,
                             entry["message"] or None if whole else None, (entry["received"], entry["sent"]), ended["verdict"], **common)
            else:
                streams.add(entry["connection"], entry["stream"], order["method"], entry["path"], ended["status"], ended["verdict"], **common)
    seen = {}
    for row in streams.rows:
        seen.setdefault((row["server"], row["connection"]), None)
    for server, port in seen:
        streams.connection(port, server=server, note="the user's" if server == streams.server else "the sidecar's")
