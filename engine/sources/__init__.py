"""What exists: a source turns a model path into remote files."""
