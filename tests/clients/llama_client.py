"""A program of somebody who uses llama.cpp: lets its own downloader find a model offline, prints its file.

Run by an interpreter that has xllamacpp (llama.cpp as a Python package); knows nothing of this project. llama.cpp says
which file it loads in its log, and ends with an error, since what the test gives it is no model that can run.
"""

import sys

import xllamacpp


def main() -> None:
    params = xllamacpp.CommonParams()
    params.model.path = "unused.gguf"  # must not be empty
    params.model.hf_repo = sys.argv[1]
    params.offline = True
    try:
        xllamacpp.Server(params)
    except RuntimeError as exc:
        print(exc)
    print("path:", params.model.path)


if __name__ == "__main__":
    main()
