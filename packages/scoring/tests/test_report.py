"""Report files: contents, hostile text in every format, and whole files or none."""

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.figures import nice_ticks
from agentbench_scoring.markdown import escape_markdown, plain, render_markdown
from agentbench_scoring.page import render_page
from agentbench_scoring.report import Report, build_report
from agentbench_scoring.report_files import write_report
from agentbench_scoring.results import read_results

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></svg><script>alert(1)</script>",
    "[a](javascript:alert(1)) | **b** `c` $d$ @e",
    "line\nbreak\r\n# heading",
    "\u202eright to left\u0000\u001b[31m",
    "$policy ${title} {x} %s \\u003c",
    "]]><!-- --!>",
]


def hostile_rows() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for i, agent in enumerate(HOSTILE):
        for j, task in enumerate(HOSTILE):
            ok = (i + j) % 4 > 0
            rows.append(
                {
                    "run_id": f"{i}/{j}/{agent}",
                    "task": f"{j}{task}",
                    "family": task,
                    "agent": f"{i}{agent}",
                    "model": agent,
                    "status": "scored" if ok else "invalid",
                    "human_rank": (i + 2 * j) / 30 if ok else None,
                    "error": None if ok else task,
                    "steps": 3 * i + j,
                    "cost_usd": 0.5,
                    "task_version": agent,
                }
            )
    return rows


class Tags(html.parser.HTMLParser):
    """Collects every tag and every attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def parse(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report(read_results(hostile_rows()), title=HOSTILE[0])


def test_hostile_text_makes_no_markup(report: Report) -> None:
    page = parse(render_page(report))
    assert page.tags.count("script") == 1
    assert page.tags.count("style") == 1
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
    links = [value for name, value in page.attributes if name in {"href", "src", "xlink:href"}]
    assert all(link is not None and link.startswith(("#", "data:,")) for link in links)


def test_the_policy_admits_only_the_pages_own_script_and_style(report: Report) -> None:
    page = render_page(report)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_the_page_loads_nothing(report: Report) -> None:
    assert not re.findall(r"(?:https?:)?//[a-z]", render_page(report).replace("<!--", ""))


def test_hostile_text_in_markdown_is_one_escaped_line(report: Report) -> None:
    text = render_markdown(report)
    assert "<script" not in text
    assert "<img" not in text
    assert "](javascript" not in text.replace("\\]", "")
    assert not {"\u202e", "\u0000", "\u001b"} & set(text)
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    for table in tables:
        bars = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(bars) == 1


def test_json_and_parquet_hold_the_same_numbers(report: Report, tmp_path: Path) -> None:
    written = write_report(hostile_rows(), tmp_path, ["json", "parquet"], title=HOSTILE[0])
    document = json.loads(written["json"].read_text("utf-8"))
    assert Report.model_validate(document) == report
    frame = pl.read_parquet(written["parquet"])
    for summary in document["aggregates"]["agents"]:
        row = frame.row(
            by_predicate=(pl.col("entrant") == summary["entrant"])
            & (pl.col("measure") == "human_rank"),
            named=True,
        )
        found = summary["estimates"]["human_rank"]
        assert row["value"] == found["value"]
        assert [row["population_low"], row["population_high"]] == found["population"]
        assert row["schema_version"] == document["schema_version"] == 1


def test_a_report_is_the_same_twice(report: Report) -> None:
    again = build_report(read_results(hostile_rows()), title=HOSTILE[0])
    assert render_page(again) == render_page(report)
    assert again == report


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(
            [{"run_id": "1", "task": "t", "agent": "a", "status": "failed"}], id="one failure"
        ),
        pytest.param(
            [{"run_id": "1", "task": "t", "agent": "a", "status": "infra"}], id="one lost run"
        ),
        pytest.param(
            [{"run_id": "1", "task": "t", "agent": "a", "status": "scored", "score": 1.0}],
            id="one score",
        ),
        pytest.param(
            [
                {"run_id": f"{a}{t}", "task": t, "agent": a, "status": "scored", "margin": m}
                for a, t, m in [("a", "t", 0.0), ("b", "t", 0.0), ("a", "u", 0.0), ("b", "u", 0.0)]
            ],
            id="all equal margins",
        ),
        pytest.param(
            [
                {"run_id": f"{a}{t}", "task": t, "agent": a, "status": "scored", "human_rank": h}
                for a, h in [("a", 1.0), ("b", 0.0)]
                for t in "tuv"
            ],
            id="one never loses",
        ),
        pytest.param(
            [
                {
                    "run_id": f"{a}",
                    "task": f"{a}",
                    "agent": a,
                    "status": "scored",
                    "human_rank": 0.5,
                }
                for a in "ab"
            ],
            id="no task in common",
        ),
    ],
)
@pytest.mark.parametrize("missing", ["failure", "drop"])
def test_small_tables_have_reports_too(
    rows: list[dict[str, object]], missing: str, tmp_path: Path
) -> None:
    chosen = "drop" if missing == "drop" else "failure"
    written = write_report(rows, tmp_path, missing=chosen)
    assert all(path.stat().st_size > 100 for path in written.values())
    for name in ("md", "html", "json"):
        text = written[name].read_text("utf-8")
        assert not re.search(r"\b(nan|NaN|inf|Infinity)\b", text), name


def test_margins_have_their_own_scale() -> None:
    rows = [
        {"run_id": f"{t}{s}", "task": t, "agent": "a", "status": "scored", "margin": m + s}
        for t, m in [("t", -80.0), ("u", 40.0), ("v", 120.0)]
        for s in range(2)
    ]
    page = render_page(build_report(read_results(rows)))
    assert 'class="m8"' in page
    assert 'class="p10"' in page
    assert "margin %" in page


def test_the_heat_map_shows_tasks_without_the_headline_measure_too() -> None:
    rows: list[dict[str, object]] = [
        {"run_id": "1", "task": "c", "agent": "a", "status": "scored", "human_rank": 0.5},
        {"run_id": "2", "task": "r", "agent": "a", "status": "scored", "margin": -40.0},
        {"run_id": "3", "task": "b", "agent": "a", "status": "scored", "score": 7.0},
        {"run_id": "4", "task": "c", "agent": "z", "status": "failed"},
    ]
    heat = build_report(read_results(rows)).heat_map
    assert heat.tasks == ("c", "r", "b")
    assert heat.measures == ("human_rank", "margin", "valid")
    assert heat.values == ((0.5, 0.0), (-40.0, None), (1.0, None))


def test_a_report_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="unknown format 'pdf'"):
        write_report(hostile_rows(), tmp_path / "out", ["md", "pdf"])  # pyright: ignore[reportArgumentType] # the point of the test
    with pytest.raises(InvalidInputError):
        write_report([], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    write_report(hostile_rows(), tmp_path / "out", ["md"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.md"]


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_escaped_text_is_one_line_without_markup(text: str) -> None:
    shown = escape_markdown(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`\[\]*]", shown)
    assert len(plain(text, limit=20)) <= 20


@given(low=st.floats(-1e6, 1e6), width=st.floats(0, 1e6))
def test_ticks_cover_the_data(low: float, width: float) -> None:
    ticks = nice_ticks(low, low + width)
    slack = 1e-6 * max(1.0, abs(low) + width)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + width - slack
    assert 2 <= len(ticks) <= 12
    assert ticks == sorted(set(ticks))


def test_differences_name_agents_as_briefly_as_tells_them_apart() -> None:
    def labels(entrants: list[tuple[str, str]]) -> list[str]:
        rows = [
            {"run_id": f"{agent}{model}{task}", "task": f"t{task}", "agent": agent, "model": model,
             "status": "scored", "human_rank": rank / 10 + task / 100}
            for rank, (agent, model) in enumerate(entrants)
            for task in range(4)
        ]  # fmt: skip
        page = render_page(build_report(read_results(rows)))
        differences = page.split("<h3>Differences")[1].split("</figure>")[0]
        return re.findall(r'<text class="label"[^>]*>([^<]*)<', differences)

    assert labels([("react", "small"), ("tree", "small")]) == ["tree − react"]
    assert labels([("react", "small"), ("react", "large")]) == ["large − small"]
    assert labels([("react", ""), ("react", "large")]) == ["react · large − react"]
    assert len(labels([("a", "x"), ("a", "y"), ("b", "x")])) == 3
