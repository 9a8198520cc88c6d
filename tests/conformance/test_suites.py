"""The suites can fail: backends with a fault each, and the laws that each one breaks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def failed() -> set[tuple[str, str]]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line"),
            *("-rf", "--no-header", "tests/conformance/broken.py"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^FAILED \S+::(\w+)::(\w+)", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return set(found)


@pytest.mark.parametrize(
    ("backend", "law"),
    [
        ("TestRacingKeyValueStore", "test_of_many_replacements_of_one_value_one_wins"),
        ("TestRacingKeyValueStore", "test_of_many_adds_one_wins"),
        ("TestClampingKeyValueStore", "test_a_value_lives_until_its_time_and_no_longer"),
        ("TestUnorderedObjectStore", "test_a_scan_goes_by_the_bytes_of_the_keys"),
        ("TestUnconditionalObjectStore", "test_if_match_writes_only_over_what_was_read"),
        ("TestUnconditionalObjectStore", "test_of_many_first_puts_one_wins"),
        ("TestForgetfulEventLog", "test_a_closed_turn_is_read_from_its_start"),
        ("TestUnfencedLeaseStore", "test_a_lease_that_was_given_back_is_free_with_a_larger_fence"),
        ("TestImmortalSessionStore", "test_a_session_ends_when_its_time_is_over"),
        ("TestVindictiveRateLimiter", "test_a_refused_request_uses_nothing"),
        ("TestPlainCipher", "test_the_plaintext_does_not_show"),
        ("TestPlainCipher", "test_equal_plaintexts_do_not_look_equal"),
    ],
)
def test_a_broken_law_fails_its_test(failed: set[tuple[str, str]], backend: str, law: str) -> None:
    assert (backend, law) in failed


@pytest.mark.parametrize(
    ("backend", "law"),
    [
        ("TestRacingKeyValueStore", "test_it_behaves_as_a_dict_does"),
        ("TestUnorderedObjectStore", "test_no_two_keys_are_one_object"),
        ("TestSleepyEventLog", "test_readers_that_wait_end_when_the_turn_is_closed"),
        ("TestPlainCipher", "test_another_context_is_refused"),
    ],
)
def test_a_law_that_is_kept_passes(failed: set[tuple[str, str]], backend: str, law: str) -> None:
    assert (backend, law) not in failed
