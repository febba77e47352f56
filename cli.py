"""`python cli.py …` from a checkout: the same command as `jarvis`."""

from engine.cli import main

if __name__ == "__main__":
    main()
