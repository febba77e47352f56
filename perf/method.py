"""How the figures came about, in sentences that stand in every result (pure)."""

from perf import rates


def describe(*, quick: bool, in_memory: bool, rounds: dict[str, int], found: rates.Rates) -> list[str]:
    """found: what single connections got where they are capped."""
    target = "memory (tmpfs)" if in_memory else "a folder that is NOT memory-backed"
    compared = "256 random blocks and both ends" if quick else "every byte"
    counts = ", ".join(f"{name} {count}" for name, count in rounds.items())
    return [
        "Timed is the whole process, from just before posix_spawn to the return of wait4; CPU seconds are those of "
        "the process and everything it started.",
        "Ours runs with default settings but for what the commands show. Without --hash none it computes the SHA-256 "
        "of everything, also where there is no digest to verify, which the peers beside it do not.",
        "Origin: our own nginx on loopback, worker_processes auto, sendfile, tcp_nopush, TLS 1.2 and 1.3 with default "
        "ciphers, no access log; the file lies in memory.",
        f"Targets lie in {target} and are removed before the next run; those of sparse files lie on a real disk, "
        "but under a rate limit of ours in memory.",
        f"Rounds alternate: each begins with the next tool. Rounds by scenario: {counts}. Figures are medians.",
        "Peak memory is the sum of PSS over all processes of the tree, sampled every 50 ms in runs of their own "
        "(round 0), which give no times: those that a target asks for three times, others once, for the charts.",
        "Growth over time, lanes, steady rate (the middle half of the file), tail (its last 5 %) and what "
        "follows the last byte come from watched runs (round 0): blocks of the target's folder every 20 ms, and our "
        "own events (--json).",
        "A total cap is a token bucket (tc tbf) in a network namespace that nginx runs in, over packets of 9000 bytes; "
        "it counts headers. The stall is made by a proxy that its control goes through, too.",
        "nginx's limit_rate (with sendfile_max_chunk) caps each connection, and for unequal edges by the connection's "
        "serial number; it counts whole seconds and waits whole milliseconds, for every tool alike."
        + (f" {rates.sentence(found)}" if found else ""),
        "The memory that a run will fill is held until just before it starts, by the target of the run before and by "
        "the harness: a virtual machine gives "
        "free pages back to its host within seconds, and whoever wrote next would pay for their return.",
        f"Each output is compared with what was served after the timed part ({compared}); a wrong one makes the run "
        "unsound.",
        "Each run starts in an empty home (HOME and JARVIS_HOME) that is removed after it, with no other setting of "
        "the person who measures: nothing that a run learned of an origin is known to the next one. Only the second "
        "half of kill-resume has the home of the first.",
        "Many files: `jarvis pull hf.co` gets them as a model of a Hub (two static answers of nginx) and verifies each "
        "against the digest published there; `jarvis pull -d` gets the addresses that aria2 gets, and hashes.",
        "kill-resume: nginx paces each connection at 16 MiB/s and logs it; SIGKILL goes to the started process alone, "
        "once half of the file lies at the target; the same command follows at once. Sent again is what the log shows "
        "for both runs, socket buffers of the killed one included.",
    ]
