"""The `agentbench` command.

It lives beside `agentbench_agents` because that package registers its environments with Gymnasium
when it is imported, and `agentbench --help` must not wait for that.
"""

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    from agentbench_cli.commands import app
    from agentbench_cli.errors import run_app

    run_app(app)
