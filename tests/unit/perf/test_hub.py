"""Many files as a model: what is listed is what is served, with its digest."""

import hashlib
import json

from perf import hub, payload


def test_listing_names_every_file_with_size_and_digest(tmp_path):
    """The tree belongs to the commit that the branch is said to be, and the files lie where a Hub has them."""
    served = payload.random_files(tmp_path / "served", 3, 1000)
    hub.publish(tmp_path / "hub", served)
    api = tmp_path / "hub" / "api" / "models" / hub.MODEL
    commit = json.loads((api / "revision" / "main").read_text())["sha"]
    nodes = json.loads((api / "tree" / commit).read_text())
    assert [node["path"] for node in nodes] == ["file-0000.bin", "file-0001.bin", "file-0002.bin"]
    for node in nodes:
        data = (tmp_path / "hub" / hub.MODEL / "resolve" / commit / node["path"]).read_bytes()
        assert node["size"] == node["lfs"]["size"] == len(data) == 1000
        assert node["lfs"]["oid"] == hashlib.sha256(data).hexdigest()
