"""Given out again: read-only views of a folder of models over HTTP."""
