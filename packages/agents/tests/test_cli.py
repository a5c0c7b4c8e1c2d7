import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from agentbench_cli import main; main()"]
TASK_FILE = "name: mine\nkind: submission\nplanet: mars\n"


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def agentbench(*args: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160"},
    )


def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


WRONG = {
    "unknown task": (["run", "digit"], 2, "did you mean"),
    "unknown agent": (["run", "digits", "-a", "basline"], 2, "did you mean 'baseline'"),
    "agent parameter": (["run", "-p", "depth=3"], 2, "depth"),
    "no such module": (["run", "-a", "nowhere:Agent"], 2, "cannot load agent"),
    "model missing": (["run", "digits", "-a", "mle"], 2, "needs a language model"),
    "model scheme": (["run", "digits", "-a", "mle", "-m", "gpt"], 2, "is not a model"),
    "task file": (["run", "mine.yaml"], 2, "planet"),
    "backend": (["run", "digits", "--sandbox", "jail"], 1, "no sandbox back end is called 'jail'"),
    "feedback": (["run", "digits", "--feedback", "all"], 1, "feedback policy 'all'"),
    "nothing to resume": (["resume", "nowhere"], 1, "holds no runs"),
    "no submission": (["grade", "digits", "none.csv"], 2, "is no file"),
    "invalid submission": (["grade", "digits", "wrong.csv"], 2, "missing"),
    "unwritable": (["run", "digits", "--out", "/proc/nowhere"], 1, "cannot create"),
}


@pytest.mark.parametrize(("args", "code", "message"), WRONG.values(), ids=WRONG)
def test_bad_input_is_one_sentence(
    args: list[str], code: int, message: str, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(TASK_FILE)
    (tmp_path / "wrong.csv").write_text("id,digit\n1,2\n")
    if args[0] in ("run", "grade"):
        args = [*args, "--data", str(data)]
    done = agentbench(*args, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    left = {p.name for p in tmp_path.iterdir()} - {"mine.yaml", "wrong.csv"}
    assert left <= {"runs"}
    assert not list(tmp_path.glob("runs/*/result.json")) or args[3] == "jail"


def test_a_server_that_is_down_is_named_and_the_run_can_go_on_later(
    data: Path, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{closed_port()}/v1"
    done = agentbench(
        *("run", "digits", "-a", "mle", "-m", "openai:tiny", "--base-url", url, "--data", data),
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert url in done.stderr
    assert "agentbench resume runs" in done.stderr
    assert "Traceback" not in done.stderr
    rows = [json.loads(r) for r in (tmp_path / "runs/results.jsonl").read_text().splitlines()]
    assert [r["status"] for r in rows] == ["infra"]


def test_control_c_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "run", "digits", "diabetes", "--data", str(data)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/*/trajectory.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "agentbench resume runs" in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("runs/*/result.json"))


@pytest.mark.slow
def test_the_main_job(data: Path, tmp_path: Path) -> None:
    done = agentbench("run", "--data", data, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(r) for r in (tmp_path / "runs/results.jsonl").read_text().splitlines()]
    assert {r["task"] for r in rows} == {"digits", "breast-cancer", "diabetes"}
    for row in rows:
        assert row["status"] == "scored"
        better = row["score"] > row["trivial"]
        assert better is row["higher_is_better"]
        assert row["margin"] > 70
        assert row["task"] in done.stdout
    again = agentbench("report", "runs", "--json", cwd=tmp_path)
    assert json.loads(again.stdout) == sorted(rows, key=lambda r: str(r["run_id"]))


def test_help_is_quick_to_import() -> None:
    heavy = "{'torch', 'docker', 'gymnasium', 'sklearn', 'polars', 'agentbench_agents'}"
    program = (
        "import sys; from agentbench_cli.commands import app\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["tasks", "agents", "doctor"])
def test_listings_speak_json(command: str, tmp_path: Path) -> None:
    done = agentbench(command, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_a_full_disk_is_one_sentence(data: Path, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
    try:
        done = agentbench("run", "digits", "--data", data, "--out", small / "runs", cwd=tmp_path)
        assert done.returncode == 1
        assert "no space left" in done.stderr.lower() or "disk" in done.stderr.lower()
        assert "Traceback" not in done.stderr
        assert not list(small.glob("runs/*/result.json"))
    finally:
        subprocess.run(["umount", small], check=True)
