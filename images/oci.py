#!/usr/bin/env python3
"""Writes static binaries of several platforms as one OCI archive: the same bytes for the same input, whatever the machine.

    oci.py [--program PROGRAM] --name NAME --version VERSION OUT.tar linux/amd64=BINARY [linux/arm64=BINARY]

The archive is a tarred OCI image layout (image-spec 1.0): an index of the platforms, and for each of them a manifest, a
configuration and one layer that holds one file. SOURCE_DATE_EPOCH, seconds since 1970, is every time in it (default 0).
Standard library only. Nothing is taken from the file system but the binaries' bytes.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import struct
import sys
import tarfile
import time

# What an image runs, as in the Dockerfile, and the licences of what is linked into it.
PROGRAMS = {
    # The agent, libpcap, glibc.
    "meshsniff-agent": ({"User": "0:0", "Cmd": ["hold"]}, "(Apache-2.0 OR MIT) AND BSD-3-Clause AND LGPL-2.1-or-later"),
    # The plugin, ring, glibc. Nothing in it takes root.
    "kubectl-meshsniff": ({"User": "65532:65532"}, "(Apache-2.0 OR MIT) AND ISC AND LGPL-2.1-or-later"),
}
# e_machine of the ELF header.
MACHINES = {"amd64": 62, "arm64": 183}
PT_INTERP = 3
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def complaint_about(binary, architecture):
    """Why this file cannot run alone in an image of that architecture, or None."""
    if binary[:6] != b"\x7fELF\x02\x01" or len(binary) < 64:
        return "it is no 64-bit little-endian ELF file"
    if struct.unpack_from("<H", binary, 18)[0] != MACHINES[architecture]:
        return f"it is not for {architecture}"
    start, size, count = struct.unpack_from("<Q", binary, 32)[0], *struct.unpack_from("<HH", binary, 54)
    if any(struct.unpack_from("<I", binary, start + i * size)[0] == PT_INTERP for i in range(count)):
        return "it is not static: the image holds no dynamic loader"
    return None


def full_reference(name):
    """The name as container runtimes store it. The kubelet looks `agent:1` up as `docker.io/library/agent:1` and would
    not find an image that was imported under the short name."""
    first, slash, _ = name.partition("/")
    if not slash:
        name = "docker.io/library/" + name
    elif "." not in first and ":" not in first and first != "localhost":
        name = "docker.io/" + name
    return name if ":" in name.rpartition("/")[2] else name + ":latest"


def to_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def tar(files, epoch):
    """A tar of {path: (mode, bytes)}; bytes None is a directory. Sorted, owned by 0:0, all of one time."""
    out = io.BytesIO()
    # USTAR: the other formats add headers that depend on the Python version.
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, (mode, content) in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.mode, entry.mtime = mode, epoch
            if content is None:
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def zipped(content):
    out = io.BytesIO()
    # No name and no time in the header. (gzip.compress() writes a header that differs between Python versions.)
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=9, mtime=0) as stream:
        stream.write(content)
    return out.getvalue()


class Layout:
    """The files of an OCI image layout."""

    def __init__(self):
        self.files = {"blobs": (0o755, None), "blobs/sha256": (0o755, None)}

    def blob(self, media_type, content, **more):
        """Keeps the content and returns its descriptor."""
        digest = hashlib.sha256(content).hexdigest()
        self.files["blobs/sha256/" + digest] = (0o644, content)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(content), **more}


def add_image(layout, program, architecture, binary, labels, epoch):
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    layer = tar({program: (0o755, binary)}, epoch)
    packed = zipped(layer)
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {**PROGRAMS[program][0], "Entrypoint": ["/" + program], "WorkingDir": "/", "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
        "history": [{"created": created, "created_by": f"COPY {program} /"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.blob(CONFIG, to_json(config)),
        "layers": [layout.blob(LAYER, packed)],
    }
    platform = {"os": "linux", "architecture": architecture}
    return layout.blob(MANIFEST, to_json(manifest), platform=platform), len(packed)


def main():
    parser = argparse.ArgumentParser(description="Writes static binaries as one multi-platform OCI archive.")
    parser.add_argument("--program", choices=PROGRAMS, default="meshsniff-agent")
    parser.add_argument("--name", required=True, help="what the image is called once it is imported, with its tag")
    parser.add_argument("--version", required=True, help="for the label org.opencontainers.image.version")
    parser.add_argument("out", metavar="OUT.tar")
    parser.add_argument("binaries", metavar="PLATFORM=BINARY", nargs="+")
    options = parser.parse_args()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)

    name = full_reference(options.name)
    labels = {
        "org.opencontainers.image.title": options.program,
        "org.opencontainers.image.version": options.version,
        "org.opencontainers.image.licenses": PROGRAMS[options.program][1],
    }
    layout, manifests = Layout(), []
    for item in sorted(options.binaries):
        platform, equals, path = item.partition("=")
        system, _, architecture = platform.partition("/")
        if not equals or system != "linux" or architecture not in MACHINES:
            parser.error(f"not PLATFORM=BINARY with linux/amd64 or linux/arm64: {item}")
        with open(path, "rb") as file:
            binary = file.read()
        if complaint := complaint_about(binary, architecture):
            sys.exit(f"oci.py: {path} does not go into a {platform} image: {complaint}")
        descriptor, packed = add_image(layout, options.program, architecture, binary, labels, epoch)
        manifests.append(descriptor)
        print(f"{platform}: {len(binary)} bytes, layer {packed} bytes", file=sys.stderr)

    images = to_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    # containerd reads the first annotation, other tools the second, which is the tag alone.
    annotations = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    top = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [layout.blob(INDEX, images, annotations=annotations)]}
    layout.files["index.json"] = (0o644, to_json(top))
    layout.files["oci-layout"] = (0o644, to_json({"imageLayoutVersion": "1.0.0"}))

    # Renamed when it is whole, so that a half-written archive never has the name somebody imports.
    partial = options.out + ".partial"
    with open(partial, "wb") as file:
        file.write(tar(layout.files, epoch))
    os.replace(partial, options.out)
    print(f"{options.out}: {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
