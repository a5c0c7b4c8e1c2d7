"""The HTML page in a real browser: no console errors, nothing wider than a phone, sorting works."""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentbench_scoring.report_files import write_report

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
)

# The frame is as wide as the device; the page is asked what a person would notice.
PROBE = """<!DOCTYPE html><title>probe</title><body>
<iframe id="f" src="report.html" style="width:WIDTHpx;height:900px;border:0"></iframe>
<script>
document.getElementById("f").addEventListener("load", (event) => {
  const page = event.target.contentDocument;
  const rows = () => [...page.querySelectorAll(".board tbody tr")];
  const column = (n) => rows().map((row) => row.cells[n].dataset.sort);
  const press = (n) => page.querySelectorAll(".board thead button")[n].click();
  const before = column(2);
  press(2);
  const descending = column(2);
  press(2);
  const found = {
    width: page.documentElement.scrollWidth,
    figures: [...page.querySelectorAll("svg")].map((s) => s.getBoundingClientRect().height > 40),
    collisions: [...page.querySelectorAll("g.row")].filter((row) =>
      row.querySelector(".label").getBoundingClientRect().right >
      row.querySelector(".note").getBoundingClientRect().left).map((row) => row.textContent),
    sections: [...page.querySelectorAll("h2")].map((h) => h.textContent),
    before, descending, ascending: column(2),
    alerts: page.defaultView.injected === undefined,
  };
  document.body.textContent = "FOUND" + JSON.stringify(found) + "END";
});
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        message = "Chromium is not installed (apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A local server with the report of a hostile table and a probe page per width."""
    folder = tmp_path_factory.mktemp("page")
    agents = [
        "tree",
        "<script>injected=1</script>",
        "react" * 30,
        '"><img src=x onerror=injected=1>',
    ]
    rows = [
        {
            "run_id": f"{i}-{task}-{seed}",
            "task": f"a-competition-with-a-rather-long-name-{task}",
            "agent": agent,
            "model": "some-model-2026",
            "status": "scored" if (i + task + seed) % 7 else "failed",
            "human_rank": (i + 1) / 9 + task / 60 + seed / 50 if (i + task + seed) % 7 else None,
            "medal": "bronze" if (i + task + seed) % 7 > 4 else None,
            "error": None if (i + task + seed) % 7 else "<b>time</b>out",
            "steps": 3 + i + task * 2,
            "cost_usd": 0.1 + task / 10,
            "wall_s": 600.0,
        }
        for i, agent in enumerate(agents)
        for task in range(14)
        for seed in range(2)
    ]
    write_report(rows, folder, ["html"], title="A report")
    for width in (390, 1280):
        (folder / f"probe-{width}.html").write_text(PROBE.replace("WIDTH", str(width)), "utf-8")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # its name upstream
            del format, args

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def browse(chromium: str, profile: Path, *arguments: str) -> tuple[str, list[str]]:
    """What Chromium prints, and the lines that pages wrote to the console."""
    done = subprocess.run(
        [chromium, *FLAGS, f"--user-data-dir={profile}", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.chromium
@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280], ids=["phone", "desktop"])
def test_the_page_works(chromium: str, address: str, tmp_path: Path, width: int) -> None:
    printed, console = browse(
        chromium, tmp_path, "--window-size=1400,1000", "--dump-dom", f"{address}/probe-{width}.html"
    )
    assert console == []
    match = re.search(r"FOUND(.*)END", printed, re.DOTALL)
    assert match is not None, printed[:2000]
    found = json.loads(match[1])
    assert found["width"] <= width
    assert found["alerts"]
    assert found["sections"] == [
        "Leaderboard",
        "Estimates and paired differences",
        "Agents × tasks",
        "Budget and profile",
        "What is wrong",
    ]
    assert found["figures"] == [True] * 5
    assert found["collisions"] == []
    numbers = [float(x) for x in found["before"]]
    assert numbers == sorted(numbers, reverse=True)
    assert [float(x) for x in found["descending"]] == sorted(numbers, reverse=True)
    assert [float(x) for x in found["ascending"]] == sorted(numbers)


@pytest.mark.chromium
@pytest.mark.slow
def test_a_screenshot_is_not_blank(chromium: str, address: str, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    _, console = browse(
        chromium,
        tmp_path / "profile",
        "--window-size=1280,2400",
        f"--screenshot={picture}",
        f"{address}/report.html",
    )
    assert console == []
    assert picture.stat().st_size > 50_000


@pytest.mark.chromium
@pytest.mark.slow
def test_the_console_would_be_seen(chromium: str, tmp_path: Path) -> None:
    """The check above can fail: a page with an error in its script is noticed."""
    page = tmp_path / "bad.html"
    page.write_text("<script>nothing.such()</script>", "utf-8")
    _, console = browse(chromium, tmp_path / "profile", "--dump-dom", page.as_uri())
    assert any("nothing is not defined" in line for line in console)
