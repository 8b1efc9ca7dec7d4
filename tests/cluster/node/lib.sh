# What the scripts beside it share: where things are, how parts are started and ended. To be sourced, with bash.
# shellcheck shell=bash disable=SC2034

program=tests/cluster/node/$(basename "$0")
die() { echo "$program: $*" >&2; exit 1; }

cache=${MESHSNIFF_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/meshsniff/cluster}
# Not below /run, which may be small and may not execute files.
state=${MESHSNIFF_CLUSTER_STATE:-/var/lib/meshsniff-cluster}
case $cache$state in *[[:space:]]*) die "neither the cache's nor the state's path may have a space in it" ;; esac
bin=$cache/bin
kubeconfig=$state/kubeconfig

# Node N is nodeN, on the bridge mscniN, which has the node's own address; its pods get addresses of 10.244.N.0/24.
pod_network=10.244.0.0/16
service_network=10.96.0.0/16
kubernetes_service=10.96.0.1
node_address() { echo "10.244.$1.1"; }
api_address=$(node_address 1)
dns_address=$api_address

# What a kubelet, a kube-proxy or a CNI plugin has put on this machine, in words; nothing, if nothing.
kubernetes_traces() {
  {
    ! { compgen -G '/sys/fs/cgroup/*/kubepods' || [ -e /sys/fs/cgroup/kubepods ]; } >/dev/null || echo cgroups
    ! { iptables-save; ip6tables-save; } 2>/dev/null | grep -E '^:(KUBE|CNI)-' >/dev/null || echo 'iptables rules'
    ! compgen -G '/sys/class/net/mscni*' >/dev/null || echo bridges
    ! compgen -G '/run/netns/cni-*' >/dev/null || echo 'network namespaces'
  } | paste -sd, | sed 's/,/, /g'
}
# The programs that run here and may have put it there.
kubernetes_programs() {
  { cat /proc/[0-9]*/comm 2>/dev/null || true; } |
    { grep -xE 'kubelet|kube-proxy|containerd|dockerd|crio|k0s|k3s.*|rke2|kubelite' || true; } | sort -u | paste -sd, | sed 's/,/, /g'
}

# Installs the packages of the programs (or files) that are missing, or says which.
have() { # package:program…
  local pair missing=()
  for pair; do
    [ -e "${pair#*:}" ] || command -v "${pair#*:}" >/dev/null || missing+=("${pair%%:*}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } || die "these Debian packages are missing: ${missing[*]}"
  echo "installing ${missing[*]}" >&2
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}"; } \
    >/dev/null 2>&1 </dev/null || die "could not install ${missing[*]}"
}

kubectl() { "$bin/kubectl" --kubeconfig "$kubeconfig" "$@"; }
# The container runtime of the cluster that is up: containerd or crio.
runtime() { cat "$state/runtime" 2>/dev/null || echo containerd; }
in_node() { # node, command…
  local node=$1 pid; shift
  pid=$(part_pid "$node") || die "$node is not up"
  nsenter --mount --target "$pid" "$@"
}
containerd_ctr() { # node, arguments…
  local node=$1; shift
  ctr -a "$state/$node/run/containerd/containerd.sock" -n k8s.io "$@"
}
# CRI-O imports no archives: what it knows is what is in its storage.
crio_storage='containers-storage:[overlay@/var/lib/containers/storage+/run/containers/storage]'
crio_copy() { # node, from, to
  in_node "$1" skopeo --insecure-policy copy --quiet "$2" "$3"
}
# The names of the images in an archive of docker save's kind or of OCI's, each with where skopeo finds it.
images_in() { # archive
  python3 -B "$(dirname "${BASH_SOURCE[0]}")/archive.py" "$1"
}
crio_import() { # node, archive
  local source name
  images_in "$2" | while read -r source name; do crio_copy "$1" "$source" "$crio_storage$name" </dev/null || return 1; done
}
import_images() { # node, archives…
  local node=$1 archive said; shift
  for archive; do
    case $(runtime) in
      crio) said=$(crio_import "$node" "$archive" 2>&1) ;;
      *) said=$(containerd_ctr "$node" images import "$archive" 2>&1) ;;
    esac || die "could not import $archive into $node: $said"
  done
}
tag_image() { # node, image, its other name
  case $(runtime) in
    crio) crio_copy "$1" "$crio_storage$2" "$crio_storage$3" ;;
    *) containerd_ctr "$1" images tag --force "$2" "$3" >/dev/null ;;
  esac
}
# The node that has a cgroup of its own to put its pods in. The other's are where a machine's kubelet puts them: /kubepods.
node2_cgroup=node2
nodes() { # those that up has set up
  local directory
  for directory in "$state"/node[0-9]*; do [ ! -d "$directory" ] || basename "$directory"; done
}

# Waits for a command to succeed, not for a time to pass.
wait_for() { # seconds, what is waited for, command…
  local seconds=$1 what=$2; shift 2
  local until=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || die "$what did not happen within $seconds s: see $state/logs"
    sleep 0.1
  done
}

# One of these scripts at a time. (Descriptor 9, which no part may keep.)
lock() {
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock -n 9 || { echo "$program: waiting for another of these scripts" >&2; flock 9; }
}

# --- parts: the cluster's processes. parts/NAME is the command line, NAME.pid the process, logs/NAME.log its output ---

define_part() { # name, command…
  local name=$1; shift
  { echo '#!/usr/bin/env bash'; printf 'exec'; printf ' %q' "$@"; echo; } >"$state/parts/$name"
}
# A process's start, in clock ticks since boot: with it a process id cannot be mistaken for a later one's.
started() { # pid
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # After the name, which may hold anything, in brackets.
  read -ra stat <<<"${stat##*) }"
  [ "${stat[0]}" != Z ] && echo "${stat[19]}"
}
# Prints a part's process id if it runs.
part_pid() { # name
  local pid start
  read -r pid start 2>/dev/null <"$state/parts/$1.pid" || return 1
  [ "$(started "$pid")" = "$start" ] && echo "$pid"
}
start_part() { # name
  local pid
  [ -e "$state/parts/$1" ] || die "there is no part $1"
  ! part_pid "$1" >/dev/null || return 0
  setsid bash "$state/parts/$1" </dev/null >>"$state/logs/$1.log" 2>&1 9>&- &
  pid=$!
  echo "$pid $(started "$pid")" >"$state/parts/$1.pid"
}
stop_part() { # name, [signal]
  local pid
  if pid=$(part_pid "$1"); then
    kill -s "${2:-TERM}" "$pid" 2>/dev/null || true
    for _ in $(seq 100); do part_pid "$1" >/dev/null || break; sleep 0.1; done
    # One that hangs.
    if part_pid "$1" >/dev/null; then kill -s KILL "$pid" 2>/dev/null || true; fi
    while part_pid "$1" >/dev/null; do sleep 0.1; done
  fi
  rm -f "$state/parts/$1.pid"
}
# A part by the name its user gives: what belongs to a node is node1's unless it says which.
part_name() { # name
  case $1 in
    kubelet | containerd | crio) echo "node1-$1" ;;
    runtime) echo "node1-$(runtime)" ;;
    node[0-9]-runtime) echo "${1%runtime}$(runtime)" ;;
    *) echo "$1" ;;
  esac
}
part_names() {
  local node
  echo etcd apiserver controller-manager scheduler proxy coredns
  for node in $(nodes); do echo "$node $node-$(runtime) $node-kubelet"; done
}

answers() { # address, port
  (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}
node_ready() { # node
  [ "$(kubectl get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]
}
# The default account is needed by every pod, the config map by most.
account_ready() {
  kubectl get -n default serviceaccount/default configmap/kube-root-ca.crt
}
# Whether a part does its work, not merely runs.
part_ready() { # name
  part_pid "$1" >/dev/null || return 1
  case $1 in
    etcd) answers 127.0.0.1 12379 ;;
    apiserver) kubectl get --raw /readyz ;;
    controller-manager) answers 127.0.0.1 10257 ;;
    scheduler) answers 127.0.0.1 10259 ;;
    # The rule for the first Service there is. It may be an earlier process's.
    proxy) answers "$api_address" 10256 && iptables-save -t nat | grep -F -- "-d $kubernetes_service/32" ;;
    coredns) answers "$dns_address" 53 ;;
    # The process that holds the node's mounts ends up as this one.
    node[0-9]) [ "$(cat "/proc/$(part_pid "$1")/comm")" = sleep ] ;;
    *-containerd) containerd_ctr "${1%-containerd}" version ;;
    *-crio) [ "$(curl -sS --unix-socket "$state/${1%-crio}/run/crio/crio.sock" -o /dev/null -w '%{http_code}' http://crio/info)" = 200 ] ;;
    # Asked by way of the API server, which needs it for exec and logs.
    *-kubelet) [ "$(kubectl get --raw "/api/v1/nodes/${1%-kubelet}/proxy/healthz")" = ok ] && node_ready "${1%-kubelet}" ;;
  esac
}
