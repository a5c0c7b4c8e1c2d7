"""What can go wrong, each with the value that was wrong."""


class AgentsError(Exception):
    """Root of every error of this package."""


class UnknownAgentError(AgentsError, LookupError):
    """No agent has this name."""


class AgentParameterError(AgentsError, ValueError):
    """An agent got a parameter that it does not take, or lacks one that it needs."""


class EpisodeOverError(AgentsError, RuntimeError):
    """A step was taken after the episode had ended, or before it had begun."""


class BudgetExceededError(AgentsError, RuntimeError):
    """A run spent what it was given: steps, seconds, tokens or dollars."""


class RunDirectoryError(AgentsError, OSError):
    """A run directory cannot be written, or does not hold what it should."""


class WorkspaceError(AgentsError, RuntimeError):
    """What an agent did to its working directory keeps programs from running there."""


class LeakError(AgentsError, RuntimeError):
    """The sandbox would let the agent read what it is graded on."""
