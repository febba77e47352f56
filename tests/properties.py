"""Settings of property tests: the same examples in every run, and no failure because a machine is slow."""

from hypothesis import HealthCheck, settings


def steady(max_examples: int = 100, **more: int) -> settings:
    """To decorate a property test with. Other examples are tried by running it without, by hand."""
    slow = [HealthCheck.too_slow]
    return settings(
        derandomize=True, deadline=None, suppress_health_check=slow, max_examples=max_examples, **more
    )
