"""The models on this machine: pulled into the store, kept once, checked, updated, removed."""
