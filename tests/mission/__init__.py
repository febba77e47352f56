"""The mission document, and a small internet in which its examples run."""
