"""A program of somebody who uses llama.cpp: lets its own downloader pull a model from the Hub at HF_ENDPOINT.

Run by an interpreter that has xllamacpp (llama.cpp as a Python package); knows nothing of this project. What the test
serves is no model that can run, so that loading it, which comes after the download, ends with an error.
"""

import sys

import xllamacpp


def main() -> None:
    params = xllamacpp.CommonParams()
    params.model.path = "unused.gguf"  # must not be empty
    params.model.hf_repo = sys.argv[1]
    try:
        xllamacpp.Server(params)
    except RuntimeError as exc:
        print(exc)


if __name__ == "__main__":
    main()
