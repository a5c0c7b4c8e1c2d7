"""A person acts in the environment: lines from the terminal become actions."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_origin

from rich.console import Console
from rich.table import Table

from agentbench_agents.actions import Action, ActionError, build_action
from agentbench_agents.output import printable

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv

SHORT: Mapping[str, str] = MappingProxyType(
    {
        "info": "request_info",
        "check": "validate_code",
        "run": "execute_code",
        "history": "get_history",
    }
)
_DEFAULTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"request_info": {"info_type": "overview"}}
)
_LONG = ("code", "content", "old", "new")
END = "."


class _Quit(Exception):  # noqa: N818 - no error: the person leaves
    """The person wants to end the episode."""


@dataclass(slots=True, kw_only=True)
class Human:
    """An agent that is a person at a terminal.

    Attributes:
        console: Where to show things.
        read: Reads a line after showing a prompt, raising EOFError at the end of the input.
        program: The program that `run` and `check` use.
    """

    needs_model = False
    console: Console = field(default_factory=lambda: Console(highlight=False))
    read: Callable[[str], str] = input
    program: str = ""

    def run(self, env: "TaskEnv", model: object) -> None:
        """Act until the episode is over or the person leaves."""
        del model
        with suppress(ImportError):
            import readline  # noqa: F401 - gives input() its history and line editing
        self._tell(str(env.observation["text"]))
        self.console.print("Type help for what you can type here.", style="dim")
        while not env.over:
            try:
                text = self._next(env, self.read(self._prompt(env)))
            except (EOFError, _Quit):
                self.console.print("\nYou left; your submissions so far count.", style="dim")
                return
            except (ActionError, OSError, ValueError) as error:
                self._say(f"That was no action: {error}")
                continue
            if text is not None:
                observation, reward, *_ = env.step(text)
                self._tell(str(observation["text"]))
                if reward:
                    self.console.print(f"reward {reward:+.4f}", style="bold green")
        self.console.print("The episode is over.", style="dim")

    def _prompt(self, env: "TaskEnv") -> str:
        left, best = env.observation["steps_left"], float(env.observation["best_progress"])
        return f"[{left} steps left, best {100 * best:.0f} %] > "

    def _next(self, env: "TaskEnv", line: str) -> str | None:
        """Carry out a line; return the action it asks for, if it does."""
        if line.lstrip().startswith("{"):
            return line
        word, _, rest = line.strip().partition(" ")
        own = {
            "": lambda: None,
            "help": lambda: self._help(env),
            "quit": self._leave,
            "code": self._write,
            "edit": self._edit,
            "show": lambda: self._say(self.program or "There is no program yet."),
        }
        if word in own:
            own[word]()
            return None
        return self._action(env.actions, SHORT.get(word, word), rest).to_text()

    def _action(self, kinds: Sequence[type[Action]], name: str, rest: str) -> Action:
        """Make an action from its name and words: `key=value`, or values in the fields' order."""
        kind = next((k for k in kinds if k.name == name), None)
        if kind is None:
            raise ValueError(f"{name!r} is unknown here; type help")
        params: dict[str, Any] = dict(_DEFAULTS.get(name, {}))
        free = list(kind.model_fields)
        for word in shlex.split(rest):
            key, equals, value = word.partition("=")
            if not (equals and key in kind.model_fields):
                if not free:
                    raise ValueError(f"{word!r} is one word too many for {name}")
                key, value = free[0], word
            if get_origin(kind.model_fields[key].annotation) is tuple:  # takes all that follows
                params[key] = [*params.get(key, []), value]
                continue
            free = [f for f in free if f != key]
            params[key] = value
        if "code" in kind.model_fields:
            params["code"] = self._code(params.get("code"))
        for key, about in kind.model_fields.items():
            if about.is_required() and key not in params:
                params[key] = self._lines(key) if key in _LONG else self.read(f"{key}: ")
        return build_action(name, params, kinds)

    def _code(self, file: str | None) -> str:
        """Return the program: that of a file, the present one, or one to be typed now."""
        if file is not None:
            self.program = Path(file).expanduser().read_text("utf-8")
        elif not self.program:
            self._write()
        return self.program

    def _write(self) -> None:
        self.program = self._lines("a program")

    def _lines(self, what: str) -> str:
        self.console.print(f"Type {what}; a line with a single {END} ends it.", style="dim")
        lines: list[str] = []
        while (line := self.read("... ")) != END:
            lines.append(line)
        return "".join(f"{line}\n" for line in lines)

    def _edit(self) -> None:
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
        if not editor:
            raise ValueError("set EDITOR to the editor that you want to use")
        with tempfile.TemporaryDirectory(prefix="agentbench-play-") as folder:
            path = Path(folder) / "program.py"
            path.write_text(self.program, "utf-8")
            subprocess.run([*shlex.split(editor), str(path)], check=False)  # noqa: S603 - their own
            self.program = path.read_text("utf-8")
        self._say(f"The program has {len(self.program.splitlines())} lines; type run or check.")

    def _leave(self) -> None:
        raise _Quit

    def _help(self, env: "TaskEnv") -> None:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True, style="bold")
        table.add_column()
        back = {long: short for short, long in SHORT.items()}
        for kind in env.actions:
            words = "".join(
                f" {name.upper()}" if about.is_required() else f" [{name.upper()}]"
                for name, about in kind.model_fields.items()
                if name not in _LONG
            )
            file = " [FILE]" if "code" in kind.model_fields else ""
            about = (kind.__doc__ or "").strip().split("\n")[0]
            table.add_row(back.get(kind.name, kind.name) + words + file, printable(about))
        table.add_row("code", f"Type a program; a line with a single {END} ends it.")
        table.add_row("edit", "Edit the program with $EDITOR.")
        table.add_row("show", "Show the program.")
        table.add_row("quit", "End the episode; submissions so far count.")
        self.console.print(table)
        self.console.print(
            'Words may be KEY=VALUE; {"action": ..., "params": ...} is taken as it is.',
            style="dim",
            markup=False,
        )

    def _tell(self, text: str) -> None:
        self.console.rule(style="dim")
        self._say(text)
        self.console.rule(style="dim")

    def _say(self, text: str) -> None:
        self.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
