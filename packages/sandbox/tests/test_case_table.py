"""The table of hostile cases in docs/sandbox.md is what the suites and the capabilities say.

python packages/sandbox/tests/test_case_table.py    # writes the table anew
"""

import ast
from pathlib import Path
from typing import Any

import pytest

from agentbench_sandbox import Capabilities, bubblewrap, docker, docker_exec, landlock
from agentbench_sandbox.testing import CONFORMANCE, HOSTILITY, Case

DOCS = Path(__file__).parents[3] / "docs/sandbox.md"
BEGIN, END = "<!-- cases -->\n", "<!-- end of cases -->"
CLAIMS: dict[str, Capabilities] = {
    "docker": docker.CAPABILITIES,
    "docker-exec": docker_exec.CAPABILITIES,
    "bubblewrap": bubblewrap.CAPABILITIES,
    "landlock": landlock.CAPABILITIES,
}
ALL, DOCKER = "docker docker-exec bubblewrap landlock", "docker docker-exec"
MAIN, MOUNTS = "docker bubblewrap landlock", "docker bubblewrap"
HOST_TESTS: dict[str, str] = {
    "test_cancelled_command_is_ended": MOUNTS,
    "test_supervisor_without_memory_is_an_error_that_says_so": "docker",
    "test_limits_that_make_no_sense": ALL,
    "test_nothing_a_container_says_is_logged_on_the_host": "docker",
    "test_read_only_mount_cannot_be_changed": MAIN,
    "test_writable_mount_belongs_to_its_owner": MAIN,
    "test_hostile_names_never_reach_the_disk": ALL,
    "test_archive_of_a_directory_is_read_with_suspicion": "docker-exec",
    "test_only_the_list_can_be_reached": MOUNTS,
    "test_other_requests_are_refused": MOUNTS,
    "test_nothing_is_left": ALL,
    "test_interrupted_host_process_leaves_no_container": "docker",
    "test_silent_daemon_is_given_up": DOCKER,
    "test_no_daemon_is_one_line": DOCKER,
    "test_nothing_grows": "bubblewrap",
    "test_session_survives_sabotage": MAIN,
    "test_lost_state_is_reported_and_the_next_cell_runs": MAIN,
    "test_interrupt_keeps_the_state": MAIN,
    "test_copies_are_equal_and_then_independent": MAIN,
    "test_forks_are_independent": MAIN,
    "test_no_two_leases_share_a_device": "docker",
    "test_no_secret_is_visible_inside": MAIN,
    "test_writable_mount_is_refused": MAIN,
    "test_killer_and_stopper_do_not_reach_the_anchor": "docker-exec",
    "test_limits_hold_without_python": "docker-exec",
    "test_a_time_out_ends_what_earlier_commands_left": "docker-exec",
    "test_commands_wait_for_their_turn_and_closing_ends_them": "docker-exec",
    "test_dead_container_is_an_error": "docker",
    "test_two_sandboxes_share_nothing": MAIN,
    "test_a_session_cannot_have_others_killed": MAIN,
    "test_what_a_session_says_is_bounded": MAIN,
    "test_late_words_do_not_reach_the_next_connection": MOUNTS,
    "test_connections_end_with_the_sandbox": "bubblewrap",
    "test_hello_with_two_names_has_none": MOUNTS,
    "test_public_addresses": MOUNTS,
    "test_nothing_resists_removal": "landlock",
    "test_entries_of_a_small_file_system_are_limited": "bubblewrap",
}
REFERENCE: dict[int, tuple[str, ...]] = {
    1: ("sleep_is_ended_at_its_deadline",),
    2: ("background_child_dies_at_the_deadline",),
    3: ("detached_children_die_at_the_deadline",),
    4: ("sigterm_ignorer_is_killed",),
    7: ("timeout_ends_the_whole_tree",),
    8: ("test_cancelled_command_is_ended",),
    9: ("fork_bomb_hits_the_limit", "test_limits_hold_without_python"),
    10: ("fork_bomb_is_swept_at_the_deadline",),
    11: ("zombies_are_reaped",),
    12: ("memory_hog_is_killed", "test_limits_hold_without_python"),
    14: ("test_supervisor_without_memory_is_an_error_that_says_so",),
    15: ("own_sigterm_is_not_a_timeout",),
    17: ("full_tmp_is_enospc",),
    18: ("test_limits_that_make_no_sense",),
    19: ("full_workspace_is_noticed",),
    20: ("one_gigabyte_of_output",),
    21: ("endless_line_comes_in_bounded_pieces",),
    22: ("both_streams_flooded",),
    24: ("test_nothing_a_container_says_is_logged_on_the_host",),
    25: ("bytes_are_bytes",),
    28: ("stdin_is_delivered",),
    29: ("large_stdin_arrives", "ignored_stdin_is_no_deadlock"),
    30: ("prompt_loop_ends",),
    31: ("argument_sizes",),
    32: ("missing_program_is_127", "what_cannot_start_says_why"),
    33: ("killing_everything_spares_the_supervisor",),
    35: ("supervisor_cannot_be_read", "supervisor_cannot_be_traced"),
    36: ("host_environment_is_absent", "test_no_secret_is_visible_inside"),
    37: ("test_read_only_mount_cannot_be_changed",),
    39: ("test_writable_mount_belongs_to_its_owner",),
    40: ("links_and_devices_stay_inside",),
    42: (
        "sparse_file_is_refused_before_it_is_sent",
        "growing_file_is_bounded",
        "special_files_are_refused",
    ),
    43: ("archive_bomb_is_bounded",),
    44: (
        "test_hostile_names_never_reach_the_disk",
        "test_archive_of_a_directory_is_read_with_suspicion",
    ),
    46: ("upload_makes_what_is_asked", "system_files_cannot_be_written"),
    48: ("nothing_can_be_reached", "names_fail_fast", "host_sockets_cannot_be_reached"),
    49: ("test_only_the_list_can_be_reached", "test_other_requests_are_refused"),
    51: ("test_nothing_is_left", "test_interrupted_host_process_leaves_no_container"),
    54: ("test_silent_daemon_is_given_up", "test_no_daemon_is_one_line"),
    56: ("test_nothing_grows",),
    57: (
        "test_session_survives_sabotage",
        "test_lost_state_is_reported_and_the_next_cell_runs",
        "test_interrupt_keeps_the_state",
    ),
    59: ("test_copies_are_equal_and_then_independent", "test_forks_are_independent"),
    60: ("test_no_two_leases_share_a_device",),
    62: (
        "no_capabilities",
        "namespaces_cannot_be_made",
        "mounts_cannot_be_made",
        "odd_system_calls_are_refused",
        "set_user_id_programs_gain_nothing",
    ),
}
"""Which tests answer which case of the reference's list (its numbers have gaps)."""
CASES: dict[str, Case] = {case.__name__: case for case in CONFORMANCE + HOSTILITY}


def claimed(case: Case, capabilities: Capabilities) -> bool:
    """Whether a back end claims all that a case needs."""
    for need in vars(case).get("needs", ()):
        name, _, value = need.partition("=")
        has: Any = getattr(capabilities, name)
        if not (has == value if value else has not in (False, "none")):
            return False
    return True


def back_ends(test: str) -> list[bool]:
    """Return for each back end whether a test runs on it."""
    if test in CASES:
        return [claimed(CASES[test], capabilities) for capabilities in CLAIMS.values()]
    return [name in HOST_TESTS[test].split() for name in CLAIMS]


def own() -> list[str]:
    """Return the tests of hostility that the reference does not ask for."""
    asked = {test for tests in REFERENCE.values() for test in tests}
    hostile = [case.__name__ for case in HOSTILITY]
    return [test for test in (*hostile, *HOST_TESTS) if test not in asked]


def table() -> str:
    """Return the table as Markdown."""
    lines = [f"| case | test | {' | '.join(CLAIMS)} |", "|---" * (2 + len(CLAIMS)) + "|"]
    rows = [(str(number), test) for number, tests in REFERENCE.items() for test in tests]
    rows += [("own", test) for test in own()]
    for number, test in rows:
        marks = " | ".join("yes" if runs else "–" for runs in back_ends(test))
        lines.append(f"| {number} | `{test}` | {marks} |")
    return "\n".join(lines) + "\n"


def test_the_page_holds_the_table() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == table()


def test_every_case_has_a_test_and_twenty_more_are_our_own() -> None:
    assert len(REFERENCE) == 44
    assert len(own()) >= 20
    for number, tests in REFERENCE.items():
        assert any(any(back_ends(test)) for test in tests), number


@pytest.mark.parametrize("test", HOST_TESTS)
def test_named_tests_exist(test: str) -> None:
    defined = {
        node.name
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    assert test in defined


if __name__ == "__main__":
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    DOCS.write_text(before + BEGIN + table() + END + rest.partition(END)[2], encoding="utf-8")
