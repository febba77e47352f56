"""A program of somebody who uses oras: pulls an artifact into a folder, prints the files' names as JSON.

Run by an interpreter that has oras; knows nothing of this project.
"""

import json
import sys
import types

import oras.client
import oras.decorator


def main() -> None:
    oras.decorator.time = types.SimpleNamespace(
        sleep=lambda _s: None
    )  # it waits two minutes before it gives up
    client = oras.client.OrasClient(insecure=True)
    print(json.dumps(sorted(client.pull(target=sys.argv[1], outdir=sys.argv[2]))))


if __name__ == "__main__":
    main()
