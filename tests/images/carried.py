"""Uses `kubectl meshsniff image` as a person would, for tests/images/carried.

    carried.py AGENT.tar PLUGIN
"""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.parse
import urllib.request

ARCHIVE, PLUGIN = pathlib.Path(sys.argv[1]), sys.argv[2]
ROOT = pathlib.Path(__file__).resolve().parents[2]
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
USER, PASSWORD = "somebody", "a secret: with a colon"


def check(right, what):
    if not right:
        sys.exit(f"FAILED {what}")


class Run:
    """The plugin, in an environment in which nothing of this machine's is."""

    def __init__(self, work, *args, path=None, **environment):
        env = {
            "PATH": str(path or "/usr/sbin:/usr/bin:/sbin:/bin"),
            "HOME": str(work / "home"),
            "KUBECONFIG": str(work / "no-kubeconfig"),
            "TMPDIR": str(work / "tmp"),
            **{name: str(value) for name, value in environment.items()},
        }
        ran = subprocess.run([PLUGIN, "image", *map(str, args)], env=env, capture_output=True, timeout=120)
        self.args, self.status, self.bytes, self.err = args, ran.returncode, ran.stdout, ran.stderr.decode()
        check(not any((work / "tmp").iterdir()), f"{args} leaves {list((work / 'tmp').iterdir())}")

    @property
    def out(self):
        return self.bytes.decode()

    def good(self):
        check(self.status == 0, f"{self.args}: status {self.status}: {self.err}")
        return self

    def bad(self, *words):
        printed = self.bytes[:200]
        check(self.status == 1 and not printed, f"{self.args}: status {self.status}, printed {printed}: {self.err}")
        for word in words:
            check(word in self.err, f"{self.args}: «{word}» is not in: {self.err}")
        check("panicked" not in self.err and self.err.count("\n") < 5, f"{self.args}: {self.err}")
        return self


def contents(archive):
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def image_digest():
    package = ROOT / "images/release/package.py"
    found = subprocess.run(["python3", "-B", package, "digest", ARCHIVE], check=True, capture_output=True)
    return found.stdout.decode().strip()


# ---- image save ----


def saving(work, wanted):
    file = work / "a.tar"
    said = Run(work, "save", file).good()
    check(file.read_bytes() == wanted, "image save does not write what images/build does")
    check(said.out == "" and image_digest() in said.err, f"image save says {said.err}")
    check(Run(work, "save", "-").good().bytes == wanted, "image save - does not write what images/build does")

    # What is there is replaced, under its name only once it is whole, and its permissions stay.
    file.write_bytes(b"before")
    file.chmod(0o640)
    Run(work, "save", file).good()
    check(file.read_bytes() == wanted and file.stat().st_mode & 0o777 == 0o640, "image save does not replace a file")
    Run(work, "save", work / "none" / "a.tar").bad("there is no folder", "make it first")
    check(sorted(path.name for path in work.glob("*.tar")) == ["a.tar"], "image save leaves files behind")

    # The name stands in one place, and changes no digest.
    Run(work, "save", file, "--name", "registry.example/team/agent:2").good()
    named = contents(file.read_bytes())
    (top,) = json.loads(named.pop("index.json"))["manifests"]
    check(top["annotations"]["io.containerd.image.name"] == "registry.example/team/agent:2", f"index.json says {top}")
    check(top["digest"] == image_digest(), "a name changes the image's digest")
    before = contents(wanted)
    del before["index.json"]
    check(named == before, "a name changes the image")

    dated = Run(work, "save", "-", SOURCE_DATE_EPOCH=86400).good().bytes
    with tarfile.open(fileobj=io.BytesIO(dated), mode="r:") as tar:
        check({entry.mtime for entry in tar} == {86400}, "SOURCE_DATE_EPOCH is not the archive's time")
    Run(work, "save", "-", SOURCE_DATE_EPOCH="today").bad("SOURCE_DATE_EPOCH=today")


# ---- image push ----


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def registry(work, name, auth="", tls=""):
    """Debian's docker-registry, on the loopback interface; yields its address and its log of requests."""
    port, folder = free_port(), work / f"registry-{name}"
    folder.mkdir()
    address, log = f"127.0.0.1:{port}", folder / "log"
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {folder}/blobs}}\n"
        f"http:\n  addr: {address}\n{tls}{auth}"
    )
    with open(log, "wb") as out:
        serving = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=out, stderr=out)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            check(serving.poll() is None, f"docker-registry does not start: {log.read_text()}")
            time.sleep(0.05)
        yield address, log
    finally:
        serving.terminate()
        serving.wait()


def fetch(url, accept="*/*", headers=()):
    request = urllib.request.Request(url, headers={"Accept": accept, **dict(headers)})
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def check_pushed(address, name, tag, headers=()):
    """Whoever follows the tag finds every byte of the archive's image."""
    of_archive = contents(ARCHIVE.read_bytes())
    base = f"http://{address}/v2/{name}"
    index = fetch(f"{base}/manifests/{tag}", INDEX, headers)
    check(digest(index) == image_digest(), "the tag leads to another image")
    for entry in json.loads(index)["manifests"]:
        manifest = fetch(f"{base}/manifests/{entry['digest']}", MANIFEST, headers)
        check(digest(manifest) == entry["digest"], "a manifest is not what its name says")
        for part in [json.loads(manifest)["config"], *json.loads(manifest)["layers"]]:
            content = fetch(f"{base}/blobs/{part['digest']}", headers=headers)
            check(content == of_archive["blobs/" + part["digest"].replace(":", "/")], "a blob is not the archive's")


def version():
    for line in (ROOT / "Cargo.toml").read_text().splitlines():
        if line.startswith("version = "):
            return line.split('"')[1]
    sys.exit("FAILED Cargo.toml names no version")


def docker_config(work, **config):
    folder = pathlib.Path(tempfile.mkdtemp(dir=work))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def helper(work, answer, status=0):
    """A credential helper as docker's protocol has it: `get`, and the registry on standard input. It notes that."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=work))
    program = folder / "docker-credential-testing"
    notes = f'cat >{folder}/asked\necho "$1" >{folder}/verb\n'
    program.write_text(f"#!/bin/sh\n{notes}cat <<'END'\n{answer}\nEND\nexit {status}\n")
    program.chmod(0o755)
    return folder


def pushing(work):
    with registry(work, "open") as (address, log):
        said = Run(work, "push", f"{address}/team/agent", "--insecure").good()
        check(said.out == f"{address}/team/agent:{version()}@{image_digest()}\n", f"image push prints {said.out}")
        check_pushed(address, "team/agent", version())
        reference = f"docker://{address}/team/agent@{image_digest()}"
        inspected = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", reference], capture_output=True)
        check(digest(inspected.stdout) == image_digest(), f"skopeo inspect: {inspected.stderr.decode()}")

        uploads = log.read_text().count("POST /v2/team/agent/blobs/uploads/")
        check(uploads == 4, f"{uploads} blobs were sent")
        # What is there is not sent again, not even under another tag.
        Run(work, "push", f"{address}/team/agent:other", "--insecure").good()
        check_pushed(address, "team/agent", "other")
        check(log.read_text().count("POST /v2/team/agent/blobs/uploads/") == uploads, "blobs are sent again")

        Run(work, "push", f"{address}/agent").bad("--insecure", "does not answer as a registry does")
    Run(work, "push", f"127.0.0.1:{free_port()}/agent", "--insecure").bad("refused", "see whether it can be reached")


def logging_in(work):
    # The registry takes bcrypt only, which perl, part of every Debian, has from the C library.
    hash_it = ["perl", "-e", "print crypt($ARGV[0], '$2b$04$' . 'a' x 22)", PASSWORD]
    hashed = subprocess.run(hash_it, check=True, capture_output=True)
    (work / "htpasswd").write_text(f"{USER}:{hashed.stdout.decode()}\n")
    auth = f"auth:\n  htpasswd: {{realm: test, path: {work}/htpasswd}}\n"
    with registry(work, "locked", auth) as (address, _):

        def push(name, **environment):
            return Run(work, "push", f"{address}/{name}", "--insecure", **environment)

        def pushed(name):
            check_pushed(address, name, version(), {"Authorization": "Basic " + encoded(PASSWORD)}.items())

        login = f"docker login {address}"
        push("agent").bad("takes nothing from somebody unknown", login)
        push("agent", DOCKER_CONFIG=docker_config(work)).bad("takes nothing from somebody unknown", login)
        wrong = docker_config(work, auths={address: {"auth": encoded("wrong")}})
        push("agent", DOCKER_CONFIG=wrong).bad("with the credentials that docker has for it", login)

        right = docker_config(work, auths={address: {"auth": encoded(PASSWORD)}})
        push("of-a-file", DOCKER_CONFIG=right).good()
        pushed("of-a-file")
        # Where docker looks without being told.
        shutil.copytree(right, work / "home/.docker")
        push("of-home").good()
        pushed("of-home")
        shutil.rmtree(work / "home/.docker")

        answer = json.dumps({"ServerURL": address, "Username": USER, "Secret": PASSWORD})
        for name, config in [
            ("of-its-helper", {"credHelpers": {address: "testing"}}),
            ("of-the-store", {"credsStore": "testing", "auths": {address: {}}}),
        ]:
            program = helper(work, answer)
            push(name, path=f"{program}:/usr/bin:/bin", DOCKER_CONFIG=docker_config(work, **config)).good()
            pushed(name)
            check((program / "verb").read_text() == "get\n", "the helper is not asked to get")
            check((program / "asked").read_text() == address, "the helper is asked for another registry")

        config = docker_config(work, credsStore="testing")
        path = f"{helper(work, 'credentials not found in native keychain', 1)}:/usr/bin:/bin"
        push("agent", path=path, DOCKER_CONFIG=config).bad("takes nothing from somebody unknown")
        path = f"{helper(work, 'the keychain is locked', 1)}:/usr/bin:/bin"
        push("agent", path=path, DOCKER_CONFIG=config).bad("docker-credential-testing", "the keychain is locked", login)
        push("agent", DOCKER_CONFIG=config).bad("cannot be started", "config.json")
        (config / "config.json").write_text("{")
        push("agent", DOCKER_CONFIG=config).bad("config.json cannot be used")
        # Neither is told to anybody.
        said = push("agent", DOCKER_CONFIG=wrong).err
        check(encoded("wrong") not in said and "wrong" not in said, f"credentials are printed: {said}")


def encoded(password):
    return base64.b64encode(f"{USER}:{password}".encode()).decode()


def certificate(work, name):
    """A key, and a certificate of its own for the loopback interface."""
    key, cert = work / f"{name}.key", work / f"{name}.pem"
    subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subject += ["-addext", "basicConstraints=critical,CA:FALSE"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert, *subject]
    subprocess.run(make, check=True, capture_output=True)
    return key, cert


def encrypted(work):
    key, cert = certificate(work, "registry")
    with registry(work, "encrypted", tls=f"  tls: {{certificate: {cert}, key: {key}}}\n") as (address, _):
        Run(work, "push", f"{address}/agent").bad("does not answer as a registry does", "certificate")
        none = {"SSL_CERT_FILE": work / "none", "SSL_CERT_DIR": work / "none"}
        Run(work, "push", f"{address}/agent", **none).bad("name a file of some in SSL_CERT_FILE")
        said = Run(work, "push", f"{address}/agent", SSL_CERT_FILE=cert).good()
        check(said.out == f"{address}/agent:{version()}@{image_digest()}\n", f"image push prints {said.out}")


def tokens(work):
    """As Docker Hub and most others do it: the registry sends its clients to a server that gives out tokens."""
    key, cert = certificate(work, "issuer")
    der = subprocess.run(["openssl", "x509", "-in", cert, "-outform", "DER"], check=True, capture_output=True).stdout

    def part(content):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    class Issuer(http.server.BaseHTTPRequestHandler):
        """A stand-in for a registry's token server (distribution/docs/spec/auth/token)."""

        def do_GET(self):
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            known = self.headers.get("Authorization") == "Basic " + encoded(PASSWORD)
            access = []
            for scope in query.get("scope", []):
                kind, name, actions = scope.split(":")
                actions = [action for action in actions.split(",") if known or action == "pull"]
                access.append({"type": kind, "name": name, "actions": actions})
            now = int(time.time())
            claims = {"iss": "issuer", "sub": USER, "aud": query["service"][0], "access": access, "jti": "1"}
            claims.update(iat=now, nbf=now - 10, exp=now + 300)
            head = {"alg": "RS256", "typ": "JWT", "x5c": [base64.b64encode(der).decode()]}
            signed = part(head) + b"." + part(claims)
            sign = ["openssl", "dgst", "-sha256", "-sign", key]
            signature = subprocess.run(sign, input=signed, check=True, capture_output=True)
            token = (signed + b"." + part(signature.stdout)).decode()
            body = json.dumps({"token": token, "expires_in": 300}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        realm = f"http://127.0.0.1:{server.server_port}/token"
        auth = f"auth:\n  token: {{realm: {realm}, service: test, issuer: issuer, rootcertbundle: {cert}}}\n"
        with registry(work, "token", auth) as (address, _):
            Run(work, "push", f"{address}/team/agent", "--insecure").bad("takes nothing from somebody unknown")
            config = docker_config(work, auths={address: {"auth": encoded(PASSWORD)}})
            Run(work, "push", f"{address}/team/agent", "--insecure", DOCKER_CONFIG=config).good()
            answer = json.loads(fetch(f"{realm}?service=test&scope=repository:team/agent:pull"))
            check_pushed(address, "team/agent", version(), {"Authorization": f"Bearer {answer['token']}"}.items())
        server.shutdown()


# ---- image load ----


def stand_ins(work, *programs, says="", status=0):
    """Programs that are none: each notes its arguments, and keeps a copy of the archive that it is given."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=work))
    for name in programs:
        program = folder / name
        program.write_text(f"""#!/bin/bash
echo "$(basename "$0") $*" >>{folder}/called
for argument; do case $argument in *.tar) cp "$argument" {folder}/archive ;; esac; done
[ "$1" != version ] || {{ echo arm64; exit; }}
echo "{says}"
exit {status}
""")
        program.chmod(0o755)
    return folder


def kubeconfig(work, context):
    path = pathlib.Path(tempfile.mkdtemp(dir=work)) / "config"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": context}))
    return path


def loading(work, wanted):
    everything = ("kind", "minikube", "k3d", "docker", "ctr")
    name = f"docker.io/library/meshsniff-agent:{version()}"
    for context, more, command in [
        ("kind-blue", (), "kind load image-archive FILE --name blue"),
        ("k3d-red", (), "k3d image import FILE --cluster red"),
        ("minikube", (), "minikube image load FILE --profile minikube"),
        ("docker-desktop", (), "docker load --input FILE"),
        ("kind-blue", ("--into", "docker"), "docker load --input FILE"),
        ("production", ("--into", "kind"), "kind load image-archive FILE"),
        ("production", ("--context", "kind-green"), "kind load image-archive FILE --name green"),
        ("production", ("--into", "containerd"), "ctr --namespace k8s.io images import FILE"),
    ]:
        folder = stand_ins(work, *everything, says="loaded")
        path = f"{folder}:/usr/bin:/bin"
        said = Run(work, "load", *more, path=path, KUBECONFIG=kubeconfig(work, context)).good()
        called = (folder / "called").read_text().splitlines()
        temporary = next(word for word in called[-1].split() if word.endswith(".tar"))
        check(called[-1].replace(temporary, "FILE") == command, f"{context} {more}: {called}, not {command}")
        check(not pathlib.Path(temporary).exists(), f"{temporary} is left behind")
        check(f"running {called[-1]}\n" in said.err, f"what was run is not told: {said.err}")
        # What the program says is talk.
        check(said.out == name + "\n" and "loaded" in said.err, f"image load prints {said.out}")
        given = (folder / "archive").read_bytes()
        if command.split()[0] in ("docker", "minikube"):
            check_docker_archive(work, given, wanted, "arm64" if command.startswith("docker") else machine())
        else:
            check(given == wanted, f"{command}: the archive is not that of image save")

    def load(*args, programs=(), context="production", **how):
        return Run(work, "load", *args, path=stand_ins(work, *programs, **how), KUBECONFIG=kubeconfig(work, context))

    load(programs=("kind", "k3d")).bad("several could be meant", "context production", "--into (kind, k3d)")
    load().bad("none of kind, minikube, k3d, ctr and docker is on the PATH", "image push")
    load(context="k3d-red", programs=("kind",)).bad("k3d is not on the PATH, and the context is k3d-red")
    load("--into", "docker", programs=("kind",)).bad("docker is not on the PATH")
    load("--kubeconfig", work / "none", programs=("kind",)).bad("the kubeconfig", "cannot be read")
    failing = stand_ins(work, "kind", says="no such cluster", status=3)
    said = Run(work, "load", path=f"{failing}:/usr/bin:/bin", KUBECONFIG=kubeconfig(work, "kind-blue"))
    said.bad("kind did not load the image", "exit status: 3", "no such cluster")
    named = stand_ins(work, "kind")
    blue = {"path": f"{named}:/usr/bin:/bin", "KUBECONFIG": kubeconfig(work, "kind-blue")}
    said = Run(work, "load", "--name", "team/agent:7", **blue).good()
    check(said.out == "docker.io/team/agent:7\n", f"image load prints {said.out}")


def machine():
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def check_docker_archive(work, archive, plain, architecture):
    """Older engines read manifest.json alone. skopeo reads it as they do, and knows nothing of what else is there."""
    files = contents(archive)
    del files["manifest.json"]
    check(files == contents(plain), "the archive for docker holds something else")
    file = work / "for-docker.archive"
    file.write_bytes(archive)
    inspected = subprocess.run(["skopeo", "inspect", "--config", f"docker-archive:{file}"], capture_output=True)
    check(inspected.returncode == 0, f"skopeo does not read the archive for docker: {inspected.stderr.decode()}")
    config = json.loads(inspected.stdout)
    check(config["architecture"] == architecture, f"docker is given {config['architecture']}, not {architecture}")
    check(config["config"]["Entrypoint"] == ["/meshsniff-agent"], f"docker is given {config}")
    copied = work / "of-docker"
    shutil.rmtree(copied, ignore_errors=True)
    copying = ["skopeo", "--insecure-policy", "copy", f"docker-archive:{file}:meshsniff-agent:{version()}", f"dir:{copied}"]
    done = subprocess.run(copying, capture_output=True)
    check(done.returncode == 0, f"skopeo does not unpack the archive for docker: {done.stderr.decode()}")
    file.unlink()


def into_containerd(work):
    """The real one: a containerd of its own, which nothing else uses."""
    folder, address = work / "containerd", work / "containerd.sock"
    settings = work / "containerd.toml"
    settings.write_text(
        f'version = 2\nroot = "{folder}"\nstate = "{folder}-state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{address}"\n'
    )
    ctr = ["ctr", "-a", address, "-n", "k8s.io"]
    with open(work / "containerd.log", "wb") as log:
        serving = subprocess.Popen(["containerd", "-c", settings], stdout=log, stderr=log)
    try:
        for _ in range(200):
            if subprocess.run([*ctr, "version"], capture_output=True).returncode == 0:
                break
            check(serving.poll() is None, f"containerd does not start: {(work / 'containerd.log').read_text()[-500:]}")
            time.sleep(0.05)
        # ctr's own variables. The overlay snapshotter does not work everywhere.
        own = {"CONTAINERD_ADDRESS": address, "CONTAINERD_SNAPSHOTTER": "native"}
        said = Run(work, "load", "--into", "containerd", **own).good()
        name = f"docker.io/library/meshsniff-agent:{version()}"
        listed = subprocess.run([*ctr, "images", "ls", f"name=={name}"], check=True, capture_output=True).stdout.decode()
        check(image_digest() in listed and said.out == name + "\n", f"containerd lists {listed}")
        nobody = Run(work, "load", "--into", "containerd", CONTAINERD_ADDRESS=work / "none.sock")
        nobody.bad("ctr did not load the image")
    finally:
        serving.terminate()
        serving.wait()


def main():
    wanted = ARCHIVE.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for name in ("home", "tmp"):
            (work / name).mkdir()
        for what, part in [
            ("image save", lambda: saving(work, wanted)),
            ("image push", lambda: pushing(work)),
            ("image push, with docker's credentials", lambda: logging_in(work)),
            ("image push, encrypted", lambda: encrypted(work)),
            ("image push, with tokens", lambda: tokens(work)),
            ("image load, into stand-ins", lambda: loading(work, wanted)),
            ("image load, into containerd", lambda: into_containerd(work)),
        ]:
            print(f"== {what}", flush=True)
            part()
    print("passed")


if __name__ == "__main__":
    main()
