"""The command line, run as a user would."""

import json
import os
import subprocess
import sys

import pytest


def run(*words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    code = "from agentbench_sandbox.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
        timeout=120,
    )


def test_doctor_finds_a_back_end() -> None:
    done = run("doctor", "--json", DOCKER_HOST="unix:///no/such/socket")
    findings = {entry["backend"]: entry for entry in json.loads(done.stdout)}
    assert not findings["docker"]["works"]
    assert "start the Docker service" in findings["docker"]["advice"]
    assert findings["bubblewrap"]["works"] or findings["landlock"]["works"]
    assert done.returncode == 0


@pytest.mark.parametrize("words", [["ps"], ["reap"], ["build", "--base", "x"]])
def test_no_daemon_is_one_line(words: list[str]) -> None:
    done = run(*words, DOCKER_HOST="unix:///no/such/socket")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Docker" in done.stderr


@pytest.mark.docker
def test_ps_and_reap_spare_the_living(docker_image: str) -> None:
    from agentbench_sandbox import open_sandbox

    with open_sandbox("docker", image=docker_image) as sandbox:
        listed = json.loads(run("ps", "--json").stdout)
        mine = [entry for entry in listed if entry["owner"].split("/")[1] == str(os.getpid())]
        assert len(mine) == 1
        assert mine[0]["orphan"] == ""
        assert run("reap").returncode == 0
        assert sandbox.exec(["true"], timeout_s=5).ok


@pytest.mark.docker
def test_reap_removes_what_has_no_owner(docker_image: str) -> None:
    from agentbench_sandbox.identity import owner

    gone = owner().replace(f"/{os.getpid()}/", "/999999999/")
    labels = ["--label", "dev.agentbench.sandbox=1", "--label", f"dev.agentbench.owner={gone}"]
    made = subprocess.run(
        ["docker", "create", *labels, docker_image, "true"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert made in {entry["container"] for entry in json.loads(run("reap", "--json").stdout)}
    assert made not in {entry["container"] for entry in json.loads(run("ps", "--json").stdout)}


def test_shell_runs_lines() -> None:
    done = run("shell", "--backend", "local", stdin="echo one\npwd\nexit 4\n")
    assert done.stdout == "one\n/workspace\n"
    assert "[4]" in done.stderr


def test_import_is_light() -> None:
    code = (
        "import sys, agentbench_sandbox\n"
        "print([name for name in ('docker', 'typer', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
