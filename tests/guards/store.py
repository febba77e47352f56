"""Guards of what is at rest: journal, part, lock, receipts, room."""

from tests.guards.guard import Guard

_PIECES = "tests/unit/store/test_pieces.py"
_JOURNAL = "tests/unit/store/test_journal.py"

GUARDS = (
    Guard(
        "a journal's record agrees with its hash",
        "engine/store/journal.py",
        "if _HASH.unpack_from(raw, stop - _HASH.size)[0] != xxhash.xxh3_64_intdigest(payload):",
        "if False:",
        (f"{_JOURNAL}::test_flipped_bits",),
    ),
    Guard(
        "a journal's header is ours",
        "engine/store/journal.py",
        "return header if sound and header.size > 0 and header.segment_size > 0 else None",
        "return header",
        (f"{_JOURNAL}::test_foreign_header",),
    ),
    Guard(
        "a lane's note agrees with its hash",
        "engine/store/pieces.py",
        "        if check_of_place != _hash(place, seed):\n            continue\n",
        "",
        (f"{_PIECES}::test_a_place_that_is_torn_or_of_another_version_is_none",),
    ),
    Guard(
        "a lane's note is of this version",
        "engine/store/pieces.py",
        "xxhash.xxh3_64_intdigest(place, seed)",
        "xxhash.xxh3_64_intdigest(place)",
        (f"{_PIECES}::test_notes_of_another_header_are_none",),
    ),
    Guard(
        "a lane's note is compared with the disk",
        "engine/transfer/assembly.py",
        "is_there = self.proof.check_of(span) == check",
        "is_there = True",
        ("tests/integration/test_notes.py::test_a_noted_piece_that_is_not_on_disk_is_fetched",),
    ),
    Guard(
        "of a body that may turn out to be none nothing is noted",
        "engine/transfer/lease_writer.py",
        "None if reach.is_framed or reach.is_endless else part.pieces",
        "part.pieces",
        ("tests/unit/transfer/test_lane.py::test_of_a_body_that_may_turn_out_to_be_none_nothing_is_noted",),
    ),
    Guard(
        "a journal's segment lies within its file",
        "engine/store/journal.py",
        "        if not _makes_sense(where, check, grid):\n            break\n",
        "",
        (f"{_JOURNAL}::test_record_that_makes_no_sense",),
    ),
    Guard(
        "no link is followed in a part's folder",
        "engine/regular_file.py",
        "links = 0 if may_be_link else os.O_NOFOLLOW",
        "links = 0",
        (f"{_JOURNAL}::test_symlink_is_refused",),
    ),
    Guard(
        "a link is no part's folder",
        "engine/store/part.py",
        "if not stat.S_ISDIR(found.st_mode):",
        "if False:",
        ("tests/unit/store/test_part.py::test_folder_that_is_a_link_is_refused",),
    ),
    Guard(
        "what is renamed is what was written",
        "engine/store/part.py",
        "if (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):",
        "if False:",
        ("tests/unit/store/test_part_finish.py::test_finish_takes_nothing_but_what_was_written",),
    ),
    Guard(
        "data is synced before it is renamed",
        "engine/transfer/finish.py",
        "    each(lambda _, ending: ending.part.sync_for(ending.job.target))\n",
        "",
        ("tests/unit/transfer/test_finish.py::test_data_is_synced_before_any_rename",),
    ),
    Guard(
        "a part has one owner",
        "engine/store/part_lock.py",
        "        if exc.errno in (errno.EWOULDBLOCK, errno.EACCES):\n            return False\n",
        "        if exc.errno in (errno.EWOULDBLOCK, errno.EACCES):\n            return True\n",
        (
            "tests/unit/store/test_part_lock.py::test_one_of_two_processes_gets_it",
            "tests/unit/store/test_part.py::test_part_is_locked_and_resumed",
        ),
    ),
    Guard(
        "a lock on a removed file is no lock",
        "engine/store/part_lock.py",
        "if is_free and _is_at(path, mine):",
        "if is_free:",
        ("tests/unit/store/test_part_lock.py::test_lock_on_a_file_that_was_removed_is_no_lock",),
    ),
    Guard(
        "a receipt fits size, inode and time",
        "engine/store/receipts.py",
        "return (self.size, self.inode, self.mtime_ns) == (stat.st_size, stat.st_ino, stat.st_mtime_ns)",
        "return True",
        ("tests/unit/store/test_receipts.py::test_changed_file_does_not_fit",),
    ),
    Guard(
        "a receipt makes sense",
        "engine/store/receipts.py",
        "        if not _makes_sense(receipt):\n            return None\n",
        "",
        ("tests/unit/store/test_receipts.py::test_receipt_that_makes_no_sense_is_none",),
    ),
    Guard(
        "there is room before the first byte",
        "engine/store/disk.py",
        "if needed_bytes + _HEADROOM_BYTES > free:",
        "if False:",
        ("tests/unit/store/test_part.py::test_no_space_is_said_before_anything_is_written",),
    ),
)
