"""What can go wrong, one class each; every one is also a standard-library exception."""


class TasksError(Exception):
    """Root of every error that this package raises on purpose."""


class TaskFileError(TasksError, ValueError):
    """A task file is not valid: names the file, the field and what is allowed there."""


class UnknownTaskError(TasksError, LookupError):
    """No task of that name; the message lists the nearest names."""


class MissingExtraError(TasksError, ImportError):
    """An optional dependency is missing; the message names the extra to install."""


class SourceError(TasksError, OSError):
    """The raw files could not be fetched or found."""


class CredentialsError(SourceError, PermissionError):
    """The data host refused: no credentials, or the competition's rules are not accepted."""


class ChangedDataError(TasksError, ValueError):
    """A raw or prepared file is not the one whose checksum is recorded."""


class UnsafeArchiveError(TasksError, ValueError):
    """An archive member would be written outside the folder it is unpacked into."""


class PreparationError(TasksError, RuntimeError):
    """A recipe could not be carried out on the raw files; nothing was left behind."""
