"""Files in and out, done by a child that is the agent: only what the agent itself may touch.

Regular files and directories cross; links, devices, sockets and FIFOs never do.
"""

from __future__ import annotations

import os
import stat

from agentbench_sandbox.guest.wire import CHUNK, WINDOW

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbench_sandbox.guest.leader import Setting
    from agentbench_sandbox.guest.wire import Header, Link

READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
MAX_ENTRIES = 200_000


class Refused(Exception):  # noqa: N818 - a word for the host, not a failure of this program
    """A request that cannot be met; `kind` names the error the host raises."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def open_regular(
    path: str, flags: int = READ_FLAGS, dir_fd: int | None = None
) -> tuple[int, os.stat_result]:
    """Open a regular file for reading; return (descriptor, its stat)."""
    fd = os.open(path, flags, dir_fd=dir_fd)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        if stat.S_ISDIR(status.st_mode):
            raise Refused("is_directory", f"{path}: is a directory")
        raise Refused("not_regular", f"{path}: not a regular file")
    return fd, status


class Transfer:
    """One transfer over the leader's link."""

    def __init__(self, link: Link, request: Header, body: bytes, setting: Setting) -> None:
        self.link = link
        self.id = request["id"]
        self.request = request
        self.body = body
        self.workdir = setting.workdir
        self.credit = WINDOW

    def path(self) -> str:
        """Return the absolute path asked for."""
        return os.path.join(self.workdir, str(self.request["path"]))

    def send(self, header: Header, data: bytes) -> None:
        """Send a chunk when the host has room for it."""
        while self.credit <= 0:
            answer, _ = self.hear()
            self.credit += answer.get("n", 0)
        self.credit -= len(data)
        self.link.send(header, data)

    def hear(self) -> tuple[Header, bytes]:
        """Wait for a word of the host's; end when that is its wish."""
        header, data = self.link.receive()
        if header["op"] == "kill":
            os._exit(1)
        return header, data

    def send_contents(self, fd: int, limit: int) -> int:
        """Send a file up to `limit` bytes; more than that is refused."""
        sent = 0
        while True:
            data = os.read(fd, CHUNK)
            if not data:
                return sent
            sent += len(data)
            if sent > limit:
                raise Refused("too_large", f"{self.path()}: more than {limit} bytes")
            self.send({"id": self.id, "op": "data"}, data)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes the host sends, up to its end mark."""
        header, data = self.request, self.body
        while True:
            if data:
                yield data
            if not header.get("more"):
                return
            self.link.send({"id": self.id, "op": "ack", "n": len(data)})
            header, data = self.hear()
            while header["op"] != "data":
                header, data = self.hear()

    def read(self) -> None:
        """Send one regular file."""
        limit = self.request["limit"]
        fd, status = open_regular(self.path())
        if status.st_size > limit:
            raise Refused(
                "too_large", f"{self.path()}: {status.st_size} bytes, the limit is {limit}"
            )
        self.send_contents(fd, limit)

    def write(self) -> None:
        """Write one regular file, making its directories."""
        path = self.path()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        mode = self.request.get("mode", 0o644)
        fd, _ = open_regular(path, flags)
        os.ftruncate(fd, 0)
        try:
            for data in self.chunks():
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
            os.fchmod(fd, mode)
        finally:
            os.close(fd)

    def make_directory(self) -> None:
        """Make a directory and its parents."""
        os.makedirs(self.path(), exist_ok=True)

    def walk(self) -> Iterator[tuple[str, str, bool | None, int]]:
        """Yield (path, path below the root, is a directory, size) of all that may cross."""
        root = self.path()
        count = 0
        queue = [("", root)]
        while queue:
            below, place = queue.pop()
            with os.scandir(place) as entries:
                for entry in sorted(entries, key=lambda found: found.name):
                    count += 1
                    if count > MAX_ENTRIES:
                        raise Refused("too_large", f"{root}: more than {MAX_ENTRIES} entries")
                    name = os.path.join(below, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        yield entry.path, name, True, 0
                        queue.append((name, entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        size = entry.stat(follow_symlinks=False).st_size
                        yield entry.path, name, False, size
                    else:
                        yield entry.path, name, None, 0

    def tree(self) -> None:
        """Send a file, or all regular files and directories below a directory; sizes first."""
        limit = self.request["limit"]
        path = self.path()
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            if not stat.S_ISREG(status.st_mode):
                raise Refused("not_regular", f"{path}: not a regular file")
            if status.st_size > limit:
                raise Refused("too_large", f"{path}: {status.st_size} bytes, the limit is {limit}")
            fd, status = open_regular(path)
            self.send(
                {"id": self.id, "op": "file", "name": None, "mode": status.st_mode & 0o755}, b""
            )
            self.send_contents(fd, limit)
            return
        entries = list(self.walk())
        total = sum(size for _, _, _, size in entries)
        if total > limit:
            raise Refused("too_large", f"{path}: {total} bytes in all, the limit is {limit}")
        self.link.send({"id": self.id, "op": "root"})
        skipped: list[str] = []
        for place, name, is_directory, _ in entries:
            if is_directory is None or not name.isprintable():
                skipped.append(name.encode("utf-8", "backslashreplace").decode())
                continue
            if is_directory:
                self.send({"id": self.id, "op": "directory", "name": name}, b"")
                continue
            try:
                fd, status = open_regular(place, READ_FLAGS | os.O_NOFOLLOW)
            except (OSError, Refused):
                skipped.append(name)
                continue
            try:
                mode = status.st_mode & 0o755
                self.send({"id": self.id, "op": "file", "name": name, "mode": mode}, b"")
                limit -= self.send_contents(fd, limit)
            finally:
                os.close(fd)
        for name in skipped[:1000]:
            self.send({"id": self.id, "op": "skipped", "name": name[:4000]}, b"")

    def run(self) -> Header:
        """Do what was asked; return the header of the last frame."""
        work = {
            "read": self.read,
            "write": self.write,
            "mkdir": self.make_directory,
            "tree": self.tree,
        }[self.request["op"]]
        end = {"id": self.id, "op": "end"}
        try:
            work()
        except Refused as error:
            return {**end, "error": error.kind, "message": str(error)}
        except OSError as error:
            text = f"{error.filename or self.path()}: {error.strerror}"
            return {**end, "error": "os", "errno": error.errno, "message": text}
        except ValueError as error:
            return {**end, "error": "os", "errno": 22, "message": f"{self.path()!r}: {error}"}
        return end
