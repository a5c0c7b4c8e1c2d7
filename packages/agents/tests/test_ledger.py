import multiprocessing
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agentbench_agents.errors import RunDirectoryError
from agentbench_agents.ledger import Ledger

RUNS = [f"run{i}" for i in range(40)]


def nothing() -> None:
    """Write no file."""


def test_a_run_is_claimed_by_one_worker(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path / "l"), Ledger(tmp_path / "l")
    first.plan(["a"])
    assert first.claim(["a"]) == ("a", 1)
    assert second.claim(["a"]) is None
    assert second.claim(["b"]) is None


def test_a_released_run_can_be_claimed_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.plan(["a"])
    ledger.claim(["a"])
    ledger.release("a", 1)
    assert ledger.claim(["a"]) == ("a", 2)


def test_a_late_result_does_not_land(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.plan(["a"])
    ledger.claim(["a"])
    ledger.release("a", 1)
    ledger.claim(["a"])
    written: list[int] = []
    assert not ledger.finish("a", 1, write=lambda: written.append(1))
    assert ledger.finish("a", 2, write=lambda: written.append(2))
    assert not ledger.finish("a", 2, write=lambda: written.append(3))
    assert written == [2]


def test_a_failing_write_leaves_the_run_unfinished(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.plan(["a"])
    ledger.claim(["a"])

    def full() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        ledger.finish("a", 1, write=full)
    assert ledger.finish("a", 1, write=nothing)


def test_the_lease_of_a_dead_process_is_free_at_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.plan(["a"])
    claim = (
        "import sys; from pathlib import Path; from agentbench_agents.ledger import Ledger\n"
        "print(Ledger(Path(sys.argv[1])).claim(['a']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", claim, tmp_path / "l"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "('a', 1)"
    assert ledger.claim(["a"]) == ("a", 2)


def test_an_expired_lease_of_another_host_is_free(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.plan(["a"])
    ledger.claim(["a"])
    with sqlite3.connect(tmp_path / "l") as db:
        db.execute("update runs set owner='elsewhere/1/2'")
    assert ledger.claim(["a"]) is None
    with sqlite3.connect(tmp_path / "l") as db:
        db.execute("update runs set expires=0")
    db.close()
    assert ledger.claim(["a"]) == ("a", 2)


def _work(path: Path, queue: "multiprocessing.Queue[str]") -> None:
    ledger = Ledger(path)
    while (claimed := ledger.claim(RUNS)) is not None:
        assert ledger.finish(*claimed, write=nothing)
        queue.put(claimed[0])


def test_four_processes_do_each_run_exactly_once(tmp_path: Path) -> None:
    Ledger(tmp_path / "l").plan(RUNS)
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[str] = context.Queue()
    workers = [context.Process(target=_work, args=(tmp_path / "l", queue)) for _ in range(4)]
    for worker in workers:
        worker.start()
    done = sorted(queue.get(timeout=30) for _ in RUNS)
    for worker in workers:
        worker.join()
    assert done == sorted(RUNS)


def test_planning_again_offers_what_was_done(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.plan(["a"])
    ledger.claim(["a"])
    ledger.finish("a", 1, write=nothing)
    assert ledger.claim(["a"]) is None
    ledger.plan(["a"])
    assert ledger.claim(["a"]) == ("a", 2)


def test_a_file_that_is_no_ledger_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "l").write_text("not a database, but long enough to look at" * 50)
    with pytest.raises(RunDirectoryError, match="cannot use"):
        Ledger(tmp_path / "l")
