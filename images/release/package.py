#!/usr/bin/env python3
"""Packs what images/release/build has compiled: archives, sums, a bill of materials for each, and the krew manifest.

    package.py digest ARCHIVE.tar
    package.py release --version V --url URL [--homepage URL] --checkout FOLDER OUT PLATFORM=BINARY=METADATA.json...

`digest` says which digest the image has that images/build wrote. The same input gives the same bytes; SOURCE_DATE_EPOCH is
every time in them (default 0). Standard library only.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import sys
import tarfile
import time
import tomllib
import uuid

PLUGIN = "kubectl-meshsniff"
COMPLETION = "kubectl_complete-meshsniff"
SHORT = "Time HTTP in a pod's packets: who hung up on whom"
CAVEATS = """\
It takes no image: the agent comes through the API server (--agent, --image for those who want one).
Which rights it takes: kubectl meshsniff rbac. What would fail here: kubectl meshsniff doctor.
Completion by kubectl: a link called kubectl_complete-meshsniff to kubectl-meshsniff, on the PATH.
"""
DESCRIPTION = """\
Captures the packets of pods into Wireshark or a file, and reports a timing and a verdict for every HTTP
request in them: who ended a connection, and whether the server or the client was slow.
"""


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def image_digest(path):
    """The digest of the index of platforms: what a registry calls the image once it is pushed with all of them."""
    with tarfile.open(path) as archive:
        top = json.load(archive.extractfile("index.json"))
        (descriptor,) = top["manifests"]
        kind, _, digest = descriptor["digest"].partition(":")
        content = archive.extractfile(f"blobs/{kind}/{digest}").read()
    if kind != "sha256" or sha256(content) != digest:
        sys.exit(f"package.py: {path} is damaged: build it again with images/build")
    return descriptor["digest"]


def archive(files, epoch):
    """A .tar.gz of {name: (mode, bytes)}."""
    out = io.BytesIO()
    # No name and no time in gzip's header.
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=9, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, (mode, content) in sorted(files.items()):
                entry = tarfile.TarInfo(name)
                entry.mode, entry.mtime, entry.size = mode, epoch, len(content)
                tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def linked(metadata):
    """The packages that end up in the program, and who needs whom: normal dependencies, no build scripts' or tests'."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    macros = {id for id, package in packages.items() if any("proc-macro" in t["kind"] for t in package["targets"])}
    root = metadata["resolve"]["root"]
    needs, todo = {}, [root]
    while todo:
        id = todo.pop()
        if id in needs:
            continue
        direct = [dep["pkg"] for dep in nodes[id]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        needs[id] = sorted(set(direct) - macros)
        todo.extend(needs[id])
    return root, {id: packages[id] for id in needs}, needs


def bill_of_materials(metadata, checksums, epoch, platform):
    """CycloneDX 1.5."""
    root, packages, needs = linked(metadata)

    def purl(id):
        return f"pkg:cargo/{packages[id]['name']}@{packages[id]['version']}"

    def component(id):
        package = packages[id]
        entry = {
            "type": "application" if id == root else "library",
            "bom-ref": purl(id),
            "name": package["name"],
            "version": package["version"],
            "purl": purl(id),
        }
        if package.get("license"):
            # Older crates write "MIT/Apache-2.0" for what SPDX calls OR.
            entry["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", package["license"])}]
        if checksum := checksums.get((package["name"], package["version"])):
            entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return entry

    others = sorted((id for id in packages if id != root), key=purl)
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch)),
            "component": component(root),
            "properties": [{"name": "platform", "value": platform}],
        },
        "components": [component(id) for id in others],
        "dependencies": [{"ref": purl(id), "dependsOn": [purl(other) for other in needs[id]]} for id in [root, *others]],
    }
    # The same bill has the same number.
    bill["serialNumber"] = "urn:uuid:" + str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill, sort_keys=True)))
    return (json.dumps(bill, indent=2, sort_keys=True) + "\n").encode(), len(others)


def krew(version, url, homepage, archives):
    """The manifest for krew, https://krew.sigs.k8s.io."""
    if len(SHORT) > 50:
        sys.exit("package.py: krew takes a short description of at most 50 letters")

    def block(text):
        return "|\n" + "".join(f"    {line}\n" for line in text.splitlines())

    lines = [
        "apiVersion: krew.googlecontainer.com/v1alpha2",
        "kind: Plugin",
        "metadata:",
        "  name: meshsniff",
        "spec:",
        f"  version: v{version}",
        *([f"  homepage: {homepage}"] if homepage else []),
        f'  shortDescription: "{SHORT}"',
        "  description: " + block(DESCRIPTION).rstrip("\n"),
        "  caveats: " + block(CAVEATS).rstrip("\n"),
        "  platforms:",
    ]
    for platform, name, digest in archives:
        system, architecture = platform.split("/")
        binary = PLUGIN + (".exe" if system == "windows" else "")
        lines += [
            "  - selector:",
            "      matchLabels:",
            f"        os: {system}",
            f"        arch: {architecture}",
            f"    uri: {url}/{name}",
            f'    sha256: "{digest}"',
            f"    bin: {binary}",
        ]
    return ("\n".join(lines) + "\n").encode()


def release(options):
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    here = os.path.dirname(os.path.abspath(__file__))

    def read(path):
        with open(path, "rb") as file:
            return file.read()

    lock = tomllib.loads(read(os.path.join(options.checkout, "Cargo.lock")).decode())
    checksums = {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}
    written, archives = {}, []
    for item in options.built:
        platform, binary, metadata = item.split("=")
        stem = f"{PLUGIN}_v{options.version}_{platform.replace('/', '_')}"
        suffix = ".exe" if platform.startswith("windows/") else ""
        bill, count = bill_of_materials(json.loads(read(metadata)), checksums, epoch, platform)
        files = {
            PLUGIN + suffix: (0o755, read(binary)),
            "LICENSE": (0o644, read(os.path.join(options.checkout, "LICENSE"))),
            "LICENSE-APACHE": (0o644, read(os.path.join(options.checkout, "LICENSE-APACHE"))),
        }
        if not suffix:
            files[COMPLETION] = (0o755, read(os.path.join(here, COMPLETION)))
        packed = archive(files, epoch)
        written[f"{stem}.tar.gz"] = packed
        written[f"{stem}.cdx.json"] = bill
        archives.append((platform, f"{stem}.tar.gz", sha256(packed)))
        print(f"{stem}.tar.gz: {len(packed)} bytes, the program {len(files[PLUGIN + suffix][1])}, {count} crates in it", file=sys.stderr)
    written["meshsniff.yaml"] = krew(options.version, options.url, options.homepage, archives)
    sums = "".join(f"{sha256(content)}  {name}\n" for name, content in sorted(written.items()))
    written["SHA256SUMS"] = sums.encode()
    for name, content in written.items():
        path = os.path.join(options.out, name)
        with open(path + ".partial", "wb") as file:
            file.write(content)
        os.replace(path + ".partial", path)


def main():
    parser = argparse.ArgumentParser(description="Packs a release of the plugin.")
    commands = parser.add_subparsers(dest="command", required=True)
    digest = commands.add_parser("digest")
    digest.add_argument("archive")
    packing = commands.add_parser("release")
    packing.add_argument("--version", required=True)
    packing.add_argument("--url", required=True)
    packing.add_argument("--homepage", default="")
    packing.add_argument("--checkout", required=True)
    packing.add_argument("out")
    packing.add_argument("built", nargs="+")
    options = parser.parse_args()
    if options.command == "digest":
        print(image_digest(options.archive))
    else:
        release(options)


if __name__ == "__main__":
    main()
