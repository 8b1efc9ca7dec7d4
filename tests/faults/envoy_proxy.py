"""One Envoy with a listener and a cluster for each of its situations, and what its log means."""

import json
import os
import subprocess

from bench import Leg, Truth, wait_all_listening
from envoy import LOG_KEYS, Tls, address, cluster

TYPE = "type.googleapis.com/envoy.extensions"
# Flags that tell of the upstream's side, and so belong to the leg on which the proxy is the client.
UPSTREAM_FLAGS = {"UT", "UC", "UPE", "SI", "DC", "UF"}
# Envoy's reasons to leave its upstream that no flag tells: on that leg, they look like any other.
NOT_TOLD = {"max_duration_timeout", "request_overall_timeout"}
ROUTER = {"name": "router", "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"}}


class Envoy:
    def __init__(self, work, processes, binary, rows, name):
        self.log = os.path.join(work, f"{name}.log.jsonl")
        self.work = work
        self.tls = None
        listeners = [self.listener(row) for row in rows]
        clusters = [self.cluster(row) for row in rows]
        config = {
            "node": {"id": name, "cluster": name},
            "static_resources": {"listeners": listeners, "clusters": clusters},
            "bootstrap_extensions": [],
        }
        path = os.path.join(work, f"{name}.json")
        with open(path, "w") as file:
            json.dump(config, file)
        with open(os.path.join(work, f"{name}.stderr"), "wb") as errors:
            self.child = processes.start(
                [
                    binary,
                    "--config-path",
                    path,
                    "--concurrency",
                    "1",
                    "--disable-hot-restart",
                    "--file-flush-interval-msec",
                    "20",
                    "--log-level",
                    "warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
        wait_all_listening(self.child, os.path.join(work, f"{name}.stderr"), rows)

    def own_tls(self):
        self.tls = self.tls or Tls(self.work)
        return self.tls

    def listener(self, row):
        options = row.options
        route = {"cluster": row.name, "timeout": "0s", **options.get("route", {})}
        action = options.get("action") or {"route": route}
        manager = {
            "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": row.name,
            "codec_type": "HTTP1",
            "generate_request_id": False,
            "preserve_external_request_id": True,
            "use_remote_address": False,
            "route_config": {
                "virtual_hosts": [
                    {
                        "name": "all",
                        "domains": options.get("domains", ["*"]),
                        "routes": [{"match": {"prefix": "/"}, **action}],
                    }
                ]
            },
            "http_filters": [*options.get("filters", []), ROUTER],
            "access_log": [
                {
                    "name": "file",
                    "typed_config": {
                        "@type": f"{TYPE}.access_loggers.file.v3.FileAccessLog",
                        "path": self.log,
                        "log_format": {"json_format": LOG_KEYS},
                    },
                }
            ],
            **options.get("manager", {}),
        }
        chain = {"filters": [{"name": "http", "typed_config": manager}]}
        if options.get("tls"):
            own = self.own_tls()
            chain["transport_socket"] = {
                "name": "tls",
                "typed_config": {
                    "@type": f"{TYPE}.transport_sockets.tls.v3.DownstreamTlsContext",
                    "common_tls_context": {
                        "tls_certificates": [
                            {
                                "certificate_chain": {"filename": f"{own.work}/gateway.crt"},
                                "private_key": {"filename": f"{own.work}/gateway.key"},
                            }
                        ]
                    },
                },
            }
        return {
            "name": row.name,
            "address": address("127.0.0.1", row.port),
            "filter_chains": [chain],
            "listener_filters": options.get("listener_filters", []),
            **options.get("listener", {}),
        }

    def cluster(self, row):
        made = cluster(row.name, "127.0.0.1", row.upstream_port)
        options = row.options
        if options.get("upstream_tls"):
            made["transport_socket"] = {
                "name": "tls",
                "typed_config": {"@type": f"{TYPE}.transport_sockets.tls.v3.UpstreamTlsContext"},
            }
        if options.get("bind"):
            made["upstream_bind_config"] = {
                "source_address": {"address": options["bind"], "port_value": 0}
            }
        if row.upstream == "empty":
            made["load_assignment"]["endpoints"] = []
        if "upstream_common" in options:
            protocol = made["typed_extension_protocol_options"]
            for one in protocol.values():
                one["common_http_protocol_options"] = options["upstream_common"]
        made.update(options.get("cluster", {}))
        return made

    def lines(self, row):
        """The lines of one situation; those that bear its request id, if any does."""
        found = []
        try:
            with open(self.log, errors="replace") as file:
                for line in file:
                    if line.endswith("\n"):
                        one = json.loads(line)
                        if (one["downstream_local_address"] or "").endswith(f":{row.port}"):
                            found.append(one)
        except FileNotFoundError:
            pass
        return [one for one in found if one["request_id"] == row.id] or found

    def is_meant(self, row, line):
        """Whether the line is of the kind that the row announces."""
        return all(
            (
                want in (line[key] or "-")
                if key == "response_code_details"
                else (line[key] or "-") == want if key != "response_code" else line[key] == want
            )
            for key, want in row.want.items()
        )

    def truth(self, row, line):
        code, details = line["response_code"], line["response_code_details"] or "-"
        flags = [flag for flag in (line["response_flags"] or "-").split(",") if flag != "-"]
        said = f"{code or '-'} {','.join(flags) or '-'} {details}"
        asked = line["upstream_host"] is not None
        began = line["upstream_service_time"] is not None
        # What the caller gets is the origin's answer, as far as it came, or one of Envoy's own.
        own = code is not None and code != 0 and not began
        down = Leg(status=code or None, closed=None, flags=flags, own=own if code else None)
        if details == "direct_response":
            down.own = None  # What it was configured to answer looks like anybody's.
        ends = [flag for flag in flags if flag in UPSTREAM_FLAGS]
        # Why its upstream request was given up only some of its flags tell.
        up = Leg(
            status=code if began else None,
            closed=None,
            flags=None if "UMSDR" in flags or details in NOT_TOLD else ends,
        )
        cut = None if own else "server"
        if details.startswith("downstream_remote_disconnect") or "DC" in flags:
            down.closed = up.closed = "client"
        elif "upstream_reset_after_response_started" in details:
            down.closed, up.closed = cut, "server"
        elif (
            "remote_connection_failure" in details
            or "connection_timeout" in details
            or "UF" in flags
        ):
            up = "connect"
        elif "upstream_reset_before_response_started" in details and "overflow" not in details:
            up.closed = "server"
        elif any(word in details for word in ("timeout", "duration")):
            down.closed, up.closed = cut, "client"
        elif details.startswith("http1.") and asked:
            up.closed = "server"
        if not asked and not isinstance(up, str):
            up = None
        return Truth(said=said, down=down, up=up, ms=line["duration"])
