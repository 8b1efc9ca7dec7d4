#!/usr/bin/env python3
"""Prints the images in an archive, a line each: where skopeo finds it, and its name.

    archive.py ARCHIVE.tar

The archive is what `docker save` writes, or one image in OCI's layout with the name that containerd reads.
"""

import json
import os
import sys
import tarfile

with tarfile.open(sys.argv[1]) as archive:
    path = os.path.abspath(sys.argv[1])
    names = archive.getnames()
    if "manifest.json" in names:
        for image in json.load(archive.extractfile("manifest.json")):
            for name in image["RepoTags"]:
                print(f"docker-archive:{path}:{name}", name)
    elif "index.json" in names:
        (image,) = json.load(archive.extractfile("index.json"))["manifests"]
        print(f"oci-archive:{path}", image["annotations"]["io.containerd.image.name"])
    else:
        sys.exit(f"{path} is no archive of images")
