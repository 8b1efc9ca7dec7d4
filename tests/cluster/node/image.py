#!/usr/bin/env python3
"""Packs a directory as an image archive that containerd imports: the same bytes for the same files.

    image.py --name NAME --architecture ARCHITECTURE [--user UID:GID] ROOT OUT.tar [ENTRYPOINT...]

The archive is what `docker save` writes, with one layer. It is not compressed: it never travels, and importing it is
part of each start of the cluster. Standard library only.
"""

import argparse
import hashlib
import io
import json
import os
import stat
import tarfile


def entries(root):
    """Paths below the root, a directory before what is in it."""
    for directory, names, files in os.walk(root):
        names.sort()
        for name in sorted(names + files):
            yield os.path.relpath(os.path.join(directory, name), root)


def pack(root, layer):
    """All of it owned by 0:0 and of one time."""
    with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT) as archive:
        for path in entries(root):
            source = os.path.join(root, path)
            status = os.lstat(source)
            entry = tarfile.TarInfo(path)
            entry.mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(status.st_mode):
                entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(source)
                archive.addfile(entry)
            elif stat.S_ISDIR(status.st_mode):
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            else:
                entry.size = status.st_size
                with open(source, "rb") as file:
                    archive.addfile(entry, file)


def main():
    parser = argparse.ArgumentParser(description="Packs a directory as an image archive.")
    parser.add_argument("--name", required=True)
    parser.add_argument("--architecture", required=True)
    parser.add_argument("--user", default="0:0")
    parser.add_argument("root")
    parser.add_argument("out", metavar="OUT.tar")
    parser.add_argument("entrypoint", nargs="*")
    options = parser.parse_args()

    layer = options.out + ".layer"
    try:
        pack(options.root, layer)
        with open(layer, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        created = "1970-01-01T00:00:00Z"
        config = {
            "architecture": options.architecture,
            "os": "linux",
            "created": created,
            "config": {
                "User": options.user,
                "Entrypoint": options.entrypoint,
                "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
            "history": [{"created": created}],
        }
        config = json.dumps(config, sort_keys=True).encode()
        name = hashlib.sha256(config).hexdigest() + ".json"
        manifest = [{"Config": name, "RepoTags": [options.name], "Layers": [digest + ".tar"]}]
        with tarfile.open(options.out, "w", format=tarfile.GNU_FORMAT) as archive:

            def add(path, size, content):
                entry = tarfile.TarInfo(path)
                entry.size = size
                archive.addfile(entry, content)

            add(name, len(config), io.BytesIO(config))
            with open(layer, "rb") as file:
                add(digest + ".tar", os.path.getsize(layer), file)
            manifest = json.dumps(manifest).encode()
            add("manifest.json", len(manifest), io.BytesIO(manifest))
    finally:
        if os.path.exists(layer):
            os.remove(layer)


if __name__ == "__main__":
    main()
