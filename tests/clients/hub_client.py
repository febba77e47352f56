"""A program of somebody who uses huggingface_hub: calls functions, prints what came of each as JSON.

Run by an interpreter that has huggingface_hub; knows nothing of this project.
"""

import json
import sys
from typing import Any

import huggingface_hub


def call(name: str, arguments: dict[str, Any]) -> Any:
    if name == "version":
        return huggingface_hub.__version__
    if name == "list_tree":
        entries = huggingface_hub.HfApi().list_repo_tree(recursive=True, **arguments)
        return [entry.path for entry in entries]
    if name == "paths_info":
        infos = huggingface_hub.HfApi().get_paths_info(**arguments)
        return {i.path: [i.size, i.blob_id, i.lfs.sha256 if i.lfs else None] for i in infos}
    if name == "files_metadata":
        info = huggingface_hub.HfApi().model_info(files_metadata=True, **arguments)
        return {s.rfilename: [s.size, s.blob_id, s.lfs.sha256 if s.lfs else None] for s in info.siblings}
    if name == "refs":
        refs = huggingface_hub.HfApi().list_repo_refs(**arguments)
        return {branch.name: branch.target_commit for branch in refs.branches}
    if name == "list_models":
        return [model.id for model in huggingface_hub.HfApi().list_models()]
    if name == "scan_cache":
        info = huggingface_hub.scan_cache_dir(**arguments)
        found = {r.repo_id: {"files": r.nb_files, "refs": sorted(r.refs)} for r in info.repos}
        return found | {"warnings": [str(warning) for warning in info.warnings]}
    if name == "verify":
        found = huggingface_hub.HfApi().verify_repo_checksums(**arguments)
        return [found.checked_count, len(found.mismatches), len(found.missing_paths)]
    return getattr(huggingface_hub, name)(**arguments)


def answer(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": call(name, arguments)}
    except Exception as exc:
        return {"error": [cls.__name__ for cls in type(exc).__mro__], "message": str(exc)}


def main() -> None:
    json.dump([answer(name, arguments) for name, arguments in json.loads(sys.argv[1])], sys.stdout)


if __name__ == "__main__":
    main()
