"""The benchmark harness: this engine beside a single stream and six downloaders (see README.md)."""
