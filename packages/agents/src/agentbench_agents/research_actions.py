"""What an agent can do in a research task: work on files, run programs, ask for dev scores."""

from typing import TYPE_CHECKING, cast

from pydantic import Field

from agentbench_agents.actions import Action, GetHistory, Reset, Submit

if TYPE_CHECKING:
    from agentbench_agents.episode import Episode, Outcome
    from agentbench_agents.research_episode import ResearchEpisode


def _research(episode: "Episode") -> "ResearchEpisode":
    return cast("ResearchEpisode", episode)


class ListFiles(Action):
    """List a directory of the repository."""

    name = "list_files"
    path: str = Field(default=".", max_length=1000, description="directory")

    def apply(self, episode: "Episode") -> "Outcome":
        """List it in the sandbox."""
        return _research(episode).list_files(self.path)


class ReadFile(Action):
    """Read lines of a text file."""

    name = "read_file"
    path: str = Field(min_length=1, max_length=1000, description="file")
    first: int = Field(default=1, ge=1, description="first line")
    last: int = Field(default=200, ge=1, description="last line, at most 400 after the first")

    def apply(self, episode: "Episode") -> "Outcome":
        """Read it in the sandbox."""
        return _research(episode).read_file(self.path, self.first, self.last)


class WriteFile(Action):
    """Write a whole file; its directories are made."""

    name = "write_file"
    path: str = Field(min_length=1, max_length=1000, description="file")
    content: str = Field(description="everything that it shall hold")

    def apply(self, episode: "Episode") -> "Outcome":
        """Write it in the sandbox."""
        return _research(episode).write_file(self.path, self.content)


class AppendFile(Action):
    """Append text to a file, which is made if it is not there."""

    name = "append_file"
    path: str = Field(min_length=1, max_length=1000, description="file")
    content: str = Field(description="text to append")

    def apply(self, episode: "Episode") -> "Outcome":
        """Append in the sandbox."""
        return _research(episode).append_file(self.path, self.content)


class CopyFile(Action):
    """Copy a file."""

    name = "copy_file"
    source: str = Field(min_length=1, max_length=1000, description="file")
    destination: str = Field(min_length=1, max_length=1000, description="where the copy goes")

    def apply(self, episode: "Episode") -> "Outcome":
        """Copy in the sandbox."""
        return _research(episode).copy_file(self.source, self.destination)


class EditFile(Action):
    """Replace a piece of text that occurs exactly once in a file."""

    name = "edit_file"
    path: str = Field(min_length=1, max_length=1000, description="file")
    old: str = Field(min_length=1, description="text that is there once")
    new: str = Field(description="text in its place")

    def apply(self, episode: "Episode") -> "Outcome":
        """Edit it in the sandbox."""
        return _research(episode).edit_file(self.path, self.old, self.new)


class RunScript(Action):
    """Run a Python script of the repository in the sandbox and read what it prints."""

    name = "run_script"
    path: str = Field(min_length=1, max_length=1000, description="script")
    arguments: tuple[str, ...] = Field(default=(), max_length=50, description="its arguments")

    def apply(self, episode: "Episode") -> "Outcome":
        """Run it in the sandbox."""
        return _research(episode).run_script(self.path, self.arguments)


class RunDev(Action):
    """Score a registered method on the development inputs.

    The method files as they are now are run in a fresh sandbox and kept. The best so scored is
    tested once when the run is over.
    """

    name = "run_dev"
    method: str = Field(min_length=1, max_length=80, description="name in methods/__init__.py")

    def apply(self, episode: "Episode") -> "Outcome":
        """Take a snapshot and run it."""
        return _research(episode).run_dev(self.method)


RESEARCH_ACTIONS: tuple[type[Action], ...] = (
    ListFiles,
    ReadFile,
    WriteFile,
    AppendFile,
    CopyFile,
    EditFile,
    RunScript,
    RunDev,
    GetHistory,
    Reset,
    Submit,
)
