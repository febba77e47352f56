"""Guards of the engine, each switched off in a copy to see that its tests turn red: `python -m tests.guards`.

A test that cannot fail proves nothing. Here stands for each promise the line that keeps it, what that line is without
its guard, and the tests that must notice.
"""
