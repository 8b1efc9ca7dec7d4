"""Envoy: a gateway, a sidecar, their certificates and their access logs, as static configurations."""

import json
import os
import subprocess

from lab import wait, wait_listening

# The keys of Istio's JSON access log, and which proxy wrote the line.
LOG_KEYS = {
    "start_time": "%START_TIME%", "method": "%REQ(:METHOD)%", "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%", "response_flags": "%RESPONSE_FLAGS%", "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "bytes_received": "%BYTES_RECEIVED%", "bytes_sent": "%BYTES_SENT%", "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%", "request_id": "%REQ(X-REQUEST-ID)%", "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%", "upstream_cluster": "%UPSTREAM_CLUSTER%", "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%", "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%", "route_name": "%ROUTE_NAME%",
}


def address(host, port):
    return {"socket_address": {"address": host, "port_value": port}}


def route(cluster, timeout="0s", prefix="/", **more):
    return {"name": more.pop("name", cluster), "match": {"prefix": prefix}, "route": {"cluster": cluster, "timeout": timeout, **more}}


def cluster(name, host, port, bind=None, tls=None, per_connection=None, http2=False):
    made = {
        "name": name, "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(host, port)}}]}]},
    }
    if bind:
        made["upstream_bind_config"] = {"source_address": {"address": bind, "port_value": 0}}
    if tls:
        made["transport_socket"] = {"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            # A full handshake for each connection: the caller's timer runs while it lasts.
            "max_session_keys": 0,
            "sni": "outbound_.80_._.catalog.shop.svc.cluster.local", "common_tls_context": tls}}
    protocol = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    options = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": protocol}
    if per_connection:
        options["common_http_protocol_options"] = {"max_requests_per_connection": per_connection}
    made["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}
    return made


class Tls:
    """Two self-signed certificates that trust each other: mutual TLS without a certificate authority."""

    def __init__(self, work):
        for who in ("gateway", "sidecar"):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:3072", "-nodes", "-days", "3650",
                 "-subj", f"/O=cluster.local/CN={who}", "-addext", f"subjectAltName=URI:spiffe://cluster.local/ns/shop/sa/{who}",
                 "-keyout", f"{work}/{who}.key", "-out", f"{work}/{who}.crt"], check=True, capture_output=True)
        self.work = work

    def context(self, own, other):
        return {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [{"certificate_chain": {"filename": f"{self.work}/{own}.crt"}, "private_key": {"filename": f"{self.work}/{own}.key"}}],
            "validation_context": {"trusted_ca": {"filename": f"{self.work}/{other}.crt"}},
        }


class Envoy:
    def __init__(self, case, name, host, port, routes, clusters, tls=None, edge=False, trusted=False, codec="AUTO", ready_port=None,
                 filters=(), more_keys=None, every_host=None, more=None):
        """`edge`: the first proxy, which makes X-Forwarded-For and the request id. `trusted`: takes the caller for internal
        and lets its x-envoy-… headers through. `filters`, before the router, are pairs of a name and a type of Envoy's HTTP filters, `more_keys`
        further keys of the log, `every_host` and `more` further settings of virtual host and connection manager."""
        self.more_keys = more_keys or {}
        self.name, self.log = name, os.path.join(case.work, name + ".log.jsonl")
        manager = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": name, "codec_type": codec, "use_remote_address": edge, "generate_request_id": True,
            "route_config": {"name": name, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes, **(every_host or {})}]},
            "http_filters": [*({"name": filter, "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.filters.http.{kind}"}}
                               for filter, kind in filters), {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
            "access_log": [{"name": "file", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": self.log,
                "log_format": {"json_format": {"proxy": name, **LOG_KEYS, **self.more_keys}}}}],
            **(more or {}),
        }
        if trusted:
            ranges = [{"address_prefix": "127.0.0.0", "prefix_len": 8}, {"address_prefix": "10.0.0.0", "prefix_len": 8}]
            manager["internal_address_config"] = {"cidr_ranges": ranges}
        chain = {"filters": [{"name": "http", "typed_config": manager}]}
        if tls:
            chain["transport_socket"] = {"name": "tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "require_client_certificate": True, "common_tls_context": tls}}
        listeners = [{"name": name, "address": address(host, port), "filter_chains": [chain]}]
        if ready_port:
            ready = {
                "@type": manager["@type"], "stat_prefix": "ready", "http_filters": manager["http_filters"],
                "route_config": {"virtual_hosts": [{"name": "ready", "domains": ["*"], "routes": [
                    {"match": {"prefix": "/healthz/ready"}, "direct_response": {"status": 200}}]}]},
            }
            listeners.append({"name": "ready", "address": address("0.0.0.0", ready_port), "filter_chains": [
                {"filters": [{"name": "http", "typed_config": ready}]}]})
        config = {"node": {"id": name, "cluster": name}, "static_resources": {"listeners": listeners, "clusters": clusters}}
        path = os.path.join(case.work, name + ".json")
        with open(path, "w") as file:
            json.dump(config, file)
        with open(os.path.join(case.work, name + ".stderr"), "wb") as errors:
            self.child = case.processes.start(
                [case.envoy, "--config-path", path, "--concurrency", "1", "--disable-hot-restart", "--file-flush-interval-msec", "20",
                 "--log-level", "warn"], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        wait_listening(port)

    def lines(self):
        try:
            with open(self.log) as file:
                return [json.loads(line) for line in file if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def wait_logged(self, count):
        return wait(f"{count} lines in the log of {self.name}", lambda: (lines := self.lines()) and len(lines) >= count and lines)


def deliver_logs(case, *proxies):
    """One access log beside the capture, in the order in which requests began."""
    lines = sorted((line for proxy in proxies for line in proxy.lines()), key=lambda line: line["start_time"])
    keys = {**LOG_KEYS, **{key: None for proxy in proxies for key in proxy.more_keys}}
    with open(os.path.join(case.out, case.name + ".envoy.jsonl"), "w") as file:
        for line in lines:
            ordered = {"proxy": line["proxy"], **{key: line.get(key) for key in keys}}
            file.write(json.dumps(ordered) + "\n")
