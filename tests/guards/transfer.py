"""Guards of bytes in motion: which answers are written, by whom, and what may get a final name."""

from tests.guards.guard import Guard

_ANSWERS = "engine/transfer/answers.py"
_MISFITS = "engine/transfer/misfits.py"
_REFUSED = ("tests/unit/transfer/test_answers.py::test_answer_is_refused",)
_WRITER = "engine/transfer/lease_writer.py"
_LANE = "tests/unit/transfer/test_lane.py"

GUARDS = (
    Guard(
        "a 206 begins where it was asked to",
        "engine/transport/ranges.py",
        "if got is None or got.span is None or got.span.start != asked.start:",
        "if got is None or got.span is None:",
        ("tests/unit/transport/test_ranges.py::test_fits", *_REFUSED),
    ),
    Guard(
        "a 206 ends where it was asked to",
        "engine/transport/ranges.py",
        "return got.span.stop == (asked.stop if got.total is None else min(asked.stop, got.total))",
        "return True",
        ("tests/unit/transport/test_ranges.py::test_fits", *_REFUSED),
    ),
    Guard(
        "a 200 is no answer to a range",
        _MISFITS,
        'return "range", "answered a range with the whole file. Where that stays so, --force takes it."',
        "return None",
        _REFUSED,
    ),
    Guard(
        "the total stays the same",
        _MISFITS,
        "if want.size is None or got.size is None or want.size == got.size:",
        "if True:",
        _REFUSED,
    ),
    Guard(
        "a page at first is no model",
        _MISFITS,
        "if lease.is_never_a_page and _is_html(answer):",
        "if False:",
        (
            _REFUSED[0],
            "tests/integration/test_faults_sequences.py::test_a_page_in_the_first_answer_gets_no_name_of_weights",
        ),
    ),
    Guard(
        "a page without a version is no other version",
        _MISFITS,
        "is_change = not lease.has_digest and not _may_be_another_thing(lease, opened)",
        "is_change = not lease.has_digest",
        (
            _REFUSED[0],
            "tests/integration/test_faults_sequences.py::test_a_run_that_is_refused_takes_nothing_away",
        ),
    ),
    Guard(
        "a 416 tells of a file that became shorter",
        _MISFITS,
        "if answer.status == 416 and known and (reason",
        "if False and known and (reason",
        (
            _REFUSED[0],
            "tests/integration/test_faults_sequences.py::test_a_file_of_another_size_between_two_runs_starts_again",
        ),
    ),
    Guard(
        "the ETag stays the same",
        _MISFITS,
        "if want.etag and got.etag and want.etag != got.etag:",
        "if False:",
        _REFUSED,
    ),
    Guard(
        "the date stays the same",
        _MISFITS,
        "if want.last_modified and got.last_modified and want.last_modified != got.last_modified:",
        "if False:",
        _REFUSED,
    ),
    Guard(
        "If-Match goes along",
        _ANSWERS,
        'headers["If-Match"] = lease.identity.strong_etag',
        "pass",
        ("tests/unit/transfer/test_answers.py::test_request",),
    ),
    Guard(
        "compressed content is not written",
        _MISFITS,
        'return "encoding", "sent compressed content although none was asked for. Try without a proxy."',
        "pass",
        _REFUSED,
    ),
    Guard(
        "what a revoked lane has in its hand is not written",
        _WRITER,
        "if self.is_revoked:\n                self._discarded += len(data)\n                raise Revoked\n",
        "pass\n",
        (f"{_LANE}::test_what_came_before_a_revocation_is_not_written_after_it",),
    ),
    Guard(
        "a write and a revocation exclude each other",
        _WRITER,
        "        with self._lock:\n            if self.is_revoked:\n                self._discarded += len(data)\n",
        "        if True:\n            if self.is_revoked:\n                self._discarded += len(data)\n",
        (f"{_LANE}::test_a_revocation_waits_for_a_write_that_is_under_way",),
    ),
    Guard(
        "an old lease number revokes nothing",
        _WRITER,
        "if self._lease is None or self._lease.lease != lease:",
        "if self._lease is None:",
        (f"{_LANE}::test_a_revocation_of_an_earlier_lease_ends_nothing",),
    ),
    Guard(
        "a lease that was revoked early is not taken up",
        _WRITER,
        "self._lease, self.is_revoked = lease, lease.lease == self._revoked_early",
        "self._lease, self.is_revoked = lease, False",
        (f"{_LANE}::test_a_lease_that_is_revoked_before_it_is_taken_up_ends_all_the_same",),
    ),
    Guard(
        "nothing is written beyond a lease's end",
        _WRITER,
        "if self._stop is not None and self.position + len(data) > self._stop:",
        "if False:",
        (f"{_LANE}::test_a_block_in_the_hand_is_cut_where_the_lease_ends_by_now",),
    ),
    Guard(
        "what came of a chunk is believed once it has ended",
        _WRITER,
        "self.position if is_rest else self.position - taken",
        "self.position",
        (f"{_LANE}::test_a_chunk_whose_end_does_not_come_is_not_believed",),
    ),
    Guard(
        "what is cut costs no more than a share of the file",
        "engine/transfer/endgame.py",
        "return discarded < max(WASTE_BYTES, int(WASTE_SHARE * size))",
        "return True",
        ("tests/unit/transfer/test_endgame.py::test_what_may_be_thrown_away",),
    ),
    Guard(
        "held segments agree with their xxh3",
        "engine/transfer/frontier.py",
        "if must_check and self._unproven[index] not in (None, check.intdigest()):",
        "if False:",
        ("tests/unit/transfer/test_frontier.py::test_bad_held_segment_is_reported_and_not_hashed",),
    ),
    Guard(
        "no final name before the digest agrees",
        "engine/transfer/file_transfer.py",
        "if digest is None or proof.agrees(content):",
        "if True:",
        (
            "tests/integration/test_faults_content.py::test_a_wrong_digest_does_not_touch_a_file_that_stands_there",
        ),
    ),
    Guard(
        "no final name for a small file either",
        "engine/transfer/file_transfer.py",
        "if agrees(digest, content):",
        "if True:",
        ("tests/integration/test_small_files.py::test_a_small_file_that_is_always_wrong_is_set_aside",),
    ),
    Guard(
        "a part is continued for its own address alone",
        "engine/transfer/admission.py",
        "same_url = header.url_hash == url_hash(remote.url)",
        "same_url = True",
        ("tests/integration/test_resume.py::test_a_part_of_another_address_is_not_continued",),
    ),
    Guard(
        "an ETag is taken for a digest from the Hub alone",
        "engine/transfer/admission.py",
        'if "/resolve/" not in remote.url or origin_of(remote.url) not in hub_origins():',
        'if "/resolve/" not in remote.url:',
        ("tests/unit/transfer/test_published_digest.py::test_nobody_elses_etag_is_a_digest",),
    ),
    Guard(
        "a device or a pipe is not replaced",
        "engine/transfer/admission.py",
        "if not stat.S_ISREG(found.st_mode):",
        "if False:",
        ("tests/integration/test_faults_disk.py::test_a_pipe_or_a_device_in_the_way_stays",),
    ),
    Guard(
        "a worker ends with its parent",
        "engine/transfer/worker.py",
        "            if os.getppid() != hello.parent:\n                return\n",
        "            pass\n",
        ("tests/unit/transfer/test_worker.py::test_a_worker_ends_with_its_parent_though_its_pipe_is_open",),
    ),
    Guard(
        "workers import nothing from the current folder",
        "engine/transfer/spawn.py",
        'unsafe = {"", os.getcwd(), script}',
        "unsafe: set[str] = set()",
        ("tests/integration/test_hosts_of_the_engine.py::test_modules_beside_the_script_are_never_imported",),
    ),
    Guard(
        "a part shows of which version it is",
        _MISFITS,
        "if opened.status == 206 and (reason := _shows_otherwise(lease, opened.identity)):",
        "if False:",
        (
            "tests/integration/test_faults_ranges.py::test_a_file_that_loses_its_validators_is_not_continued",
            "tests/integration/test_faults_ranges.py::test_a_file_that_gets_validators_midway_is_not_continued",
        ),
    ),
)
