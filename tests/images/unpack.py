#!/usr/bin/env python3
"""Takes the program out of an OCI archive, checking on the way that the archive is what images/README.md says.

    unpack.py ARCHIVE.tar DIRECTORY [meshsniff-agent|kubectl-meshsniff]

Writes DIRECTORY/linux/amd64 and so on, and prints a line to each: platform, bytes of the compressed layer. It shares no
code with crates/meshsniff-oci, which wrote the archive. Ends with a sentence at the first thing that is not as it should be.
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile


def check(right, what):
    if not right:
        sys.exit(f"unpack.py: {what}")


# What it is started with, and as whom.
STARTS = {"meshsniff-agent": (["hold"], "0:0"), "kubectl-meshsniff": (None, "65532:65532")}


def main():
    program = (sys.argv[3:] or ["meshsniff-agent"])[0]
    check(len(sys.argv) in (3, 4) and program in STARTS, "usage: unpack.py ARCHIVE.tar DIRECTORY [PROGRAM]")
    command, user = STARTS[program]
    with tarfile.open(sys.argv[1], "r:") as archive:
        entries = archive.getmembers()
        files = {entry.name: archive.extractfile(entry).read() for entry in entries if entry.isfile()}
    names = [entry.name for entry in entries]
    check(names == sorted(names), "the archive's entries are not sorted")
    check(len({entry.mtime for entry in entries}) == 1, "the archive's entries are not all of one time")
    check(all((e.uid, e.gid, e.uname, e.gname) == (0, 0, "", "") for e in entries), "the archive names an owner")
    check(json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}, "oci-layout is not version 1.0.0")
    used = {"oci-layout", "index.json"}

    def blob(descriptor):
        path = "blobs/" + descriptor["digest"].replace(":", "/")
        check(path in files, f"{path} is missing")
        content = files[path]
        check("sha256:" + hashlib.sha256(content).hexdigest() == descriptor["digest"], f"{path} is not what its name says")
        check(len(content) == descriptor["size"], f"{path} is not as long as its descriptor says")
        used.add(path)
        return content

    top = json.loads(files["index.json"])
    check(len(top["manifests"]) == 1, "index.json does not name one image")
    check(top["manifests"][0]["annotations"]["io.containerd.image.name"].count("/") >= 1, "the image's name is a short one")
    for descriptor in json.loads(blob(top["manifests"][0]))["manifests"]:
        platform = "{os}/{architecture}".format(**descriptor["platform"])
        manifest = json.loads(blob(descriptor))
        config = json.loads(blob(manifest["config"]))
        check(f"{config['os']}/{config['architecture']}" == platform, f"{platform}: the configuration is of another platform")
        run = config["config"]
        check((run["Entrypoint"], run.get("Cmd")) == (["/" + program], command), f"{platform}: it does not run {program}")
        check(run["User"] == user, f"{platform}: it does not run as {user}")
        check(len(manifest["layers"]) == 1, f"{platform}: it has more than one layer")
        packed = blob(manifest["layers"][0])
        check(packed[3] == 0 and packed[4:8] == bytes(4), f"{platform}: the gzip header holds a name or a time")
        layer = gzip.decompress(packed)
        check(config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()], f"{platform}: wrong diff_id")
        with tarfile.open(fileobj=io.BytesIO(layer)) as content:
            members = content.getmembers()
            check([m.name for m in members] == [program], f"{platform}: the layer holds more than {program}")
            check((members[0].mode, members[0].uid, members[0].gid) == (0o755, 0, 0), f"{platform}: mode or owner is wrong")
            binary = content.extractfile(members[0]).read()
        path = pathlib.Path(sys.argv[2], platform)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(binary)
        path.chmod(0o755)
        print(platform, len(packed))
    check(used == set(files), f"nothing refers to {sorted(set(files) - used)}")


if __name__ == "__main__":
    main()
