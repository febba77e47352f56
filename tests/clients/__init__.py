"""Other people's clients, run unmodified against our server, each in a process and an environment of its own."""
