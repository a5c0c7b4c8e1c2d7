"""Error analysis: what failed, where in the agent's own code, the probable cause, the next step.

Written from what the run left: its ending (limits, signals), the last traceback on standard error,
and the issues of an invalid submission. What is not recognised is not guessed at: then only what is
known is said.
"""

import re
from dataclasses import dataclass, replace

from agentbench_agents.feedback.known import ENDINGS, EXCEPTIONS, ISSUES, SIGNALS, Advice
from agentbench_agents.feedback.report import Report
from agentbench_agents.output import trim

_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r' {2,4}File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<name>.+))?')
_RAISED = re.compile(r"(?P<name>[A-Za-z_][\w.]{0,199})(?::\s(?P<message>.*))?$")
_LIBRARY = re.compile(r"site-packages|dist-packages|/lib(?:64)?/python|^<")
_MAX_SCAN = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """A failure, taken apart.

    Attributes:
        what: What failed.
        where: File, line and text of the agent's own code, None where that is unknown.
        cause: The probable cause, None where that is unknown.
        next_step: What to do, None where that is unknown.
    """

    what: str
    where: str | None = None
    cause: str | None = None
    next_step: str | None = None

    def __str__(self) -> str:
        """Return the lines that an agent reads."""
        rows = (
            ("what failed", self.what),
            ("where", self.where),
            ("probable cause", self.cause),
            ("next step", self.next_step),
        )
        return "Error analysis:\n" + "\n".join(f"- {k}: {v}" for k, v in rows if v)


def analysis(report: Report) -> str:
    """Analyse a failure; a step that went well has none."""
    found = analyse(report)
    return "" if found is None else str(found)


def analyse(report: Report) -> Analysis | None:
    """Take a failure apart; None if there is none that the policy lets the agent know."""
    if not report.run.ok:
        return _failed(report)
    if report.kind != "execute":
        return None
    if report.submission is None:
        return _advised(
            "the program ended well and left no submission that can be graded",
            ENDINGS["unreadable" if report.run.problem else "no submission"],
            where=_mention(report.code),
        )
    if report.validity is False and report.issues:
        first = report.issues[0]
        return _advised(f"the submission is invalid: {first.message}", ISSUES.get(first.code))
    if report.undefined is not None:
        return _advised(f"no score: {report.undefined}", ENDINGS["undefined"])
    return None


def _failed(report: Report) -> Analysis:
    result = report.run.result
    raised = last_exception(result.stderr)
    where = None if raised is None else raised.where(report.code)
    limits = (
        (result.timed_out, "time limit", f"it was stopped after {report.run.timeout_s:g} s"),
        (result.oom_killed, "memory", "it was killed when the memory ran out"),
        (result.pids_limit_hit, "processes", "it reached the limit of processes and threads"),
        (result.disk_limit_hit, "disk", "it used more disk than it may"),
    )
    for holds, kind, what in limits:
        if holds:
            found = _advised(what, ENDINGS[kind], where=where)
            printed = result.stdout.strip().splitlines()
            if kind == "time limit" and where is None and printed:
                found = replace(
                    found, where=f"after it had printed {trim(printed[-1], limit=200)!r}"
                )
            return found
    if raised is not None:
        advice = next((a for name, pattern, a in EXCEPTIONS if raised.is_like(name, pattern)), None)
        return _advised(raised.text, advice, where=where)
    if result.signal is not None:
        return _advised(f"signal {result.signal} ended it", SIGNALS.get(result.signal))
    return _advised(f"it ended with exit code {result.exit_code}", ENDINGS["exit"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The exception that a program ended with.

    Attributes:
        name: Its class, without the module.
        message: Its text.
        frames: File, line and function of each frame, outermost first.
    """

    name: str
    message: str
    frames: tuple[tuple[str, int, str], ...]

    @property
    def text(self) -> str:
        """Name and message in one line."""
        message = trim(" ".join(self.message.split()), limit=400)
        return f"{self.name}: {message}" if message else self.name

    def is_like(self, names: str, pattern: str) -> bool:
        """Whether it is one of these classes (`|` between them) and its message matches."""
        return self.name in names.split("|") and re.search(pattern, self.message) is not None

    def where(self, code: str) -> str | None:
        """Return the innermost frame in the agent's own code, with its text."""
        own = [f for f in self.frames if not _LIBRARY.search(f[0])]
        if not own:
            return None
        file, number, name = own[-1]
        lines = code.splitlines()
        text = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        inside = f", in {name}" if name and name != "<module>" else ""
        quoted = f": `{trim(text, limit=200)}`" if text else ""
        return f"{file.rsplit('/', 1)[-1]}, line {number}{inside}{quoted}"


def last_exception(stderr: str) -> Raised | None:
    """Read the exception that a program's last traceback, or a failed compilation, ends with."""
    lines = stderr[-_MAX_SCAN:].splitlines()
    starts = [i for i, line in enumerate(lines) if line.strip().endswith(_TRACEBACK)]
    if starts:
        first = lines[starts[-1]]
        margin = len(first) - len(first.lstrip(" |+"))  # of an exception group's members
        lines = [line[margin:] for line in lines[starts[-1] :]]
    frames: list[tuple[str, int, str]] = []
    raised: Raised | None = None
    for line in lines:
        frame = _FRAME.match(line)
        if frame:
            frames.append((frame["file"], int(frame["line"]), frame["name"] or ""))
            continue
        ending = None if line[:1].isspace() else _RAISED.match(line)
        if ending and raised is None and _is_exception(ending["name"], known=bool(starts)):
            name = ending["name"].rsplit(".", 1)[-1]
            message = ending["message"] or ""
            raised = Raised(
                name=name, message=message, frames=tuple(frames or _in_message(message))
            )
    return raised


def _is_exception(name: str, *, known: bool) -> bool:
    """Whether a first word is a class of exceptions; without a traceback it must look like one."""
    last = name.rsplit(".", 1)[-1]
    return known or last.endswith(("Error", "Exception", "Interrupt", "Exit"))


def _in_message(message: str) -> list[tuple[str, int, str]]:
    """Return the line that a SyntaxError of validate_code names in its message."""
    found = re.search(r"\((?:<unknown>|[\w.]+), line (\d+)\)$", message)
    return [("code.py", int(found[1]), "")] if found else []


def _advised(what: str, advice: Advice | None, *, where: str | None = None) -> Analysis:
    if advice is None:
        return Analysis(what=what, where=where)
    return Analysis(what=what, where=where, cause=advice.cause, next_step=advice.next_step)


def _mention(code: str) -> str | None:
    """Return the last line of a program that names the submission file."""
    lines = code.splitlines()
    for number in range(len(lines), 0, -1):
        if "submission" in lines[number - 1]:
            return f"line {number}: `{trim(lines[number - 1].strip(), limit=200)}`"
    return "nowhere in the program is submission.csv written"
