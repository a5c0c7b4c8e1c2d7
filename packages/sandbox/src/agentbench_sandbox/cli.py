"""The command line: build the image, look around, clean up."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from agentbench_sandbox.errors import CapabilityError, InvalidLimitsError, SandboxError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@contextmanager
def one_line_errors() -> Generator[None]:
    """Turn this package's errors into one line and an exit code: 2 for wrong input, else 1."""
    try:
        yield
    except (CapabilityError, InvalidLimitsError, ValueError) as error:
        typer.echo(f"agentbench-sandbox: {error}", err=True)
        raise typer.Exit(2) from None
    except (SandboxError, OSError) as error:
        typer.echo(f"agentbench-sandbox: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def doctor(image: str | None = None, *, as_json: Json = False) -> None:
    """Try every back end; exit with 1 when none works."""
    from agentbench_sandbox.doctor import examine

    with one_line_errors():
        findings = examine(image=image)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(f"{finding.backend:<12}{'works' if finding.works else finding.advice}")
    if not any(finding.works for finding in findings):
        raise typer.Exit(1)


@app.command()
def build(
    base: Annotated[str | None, typer.Option(help="Image to start from.")] = None,
    package: Annotated[list[str] | None, typer.Option(help="Python package; repeatable.")] = None,
    ca_bundle: Annotated[Path | None, typer.Option(help="PEM file that pip must trust.")] = None,
    network: Annotated[str | None, typer.Option(help="Docker network mode while building.")] = None,
    *,
    no_packages: Annotated[
        bool, typer.Option("--no-packages", help="Python alone; not made the default.")
    ] = False,
    cuda: Annotated[bool, typer.Option("--cuda", help="Start from a CUDA image.")] = False,
    as_json: Json = False,
) -> None:
    """Build the image Docker sandboxes run in; with packages it becomes the default."""
    from agentbench_sandbox import images

    packages = [] if no_packages else package or images.DEFAULT_PACKAGES
    start = base or (images.CUDA_BASE if cuda else images.DEFAULT_BASE)
    with one_line_errors():
        built = images.build(
            start,
            packages,
            ca_bundle=ca_bundle,
            network=network,
            say=lambda line: typer.echo(line, err=True),
        )
    typer.echo(json.dumps(built) if as_json else f"{built['image']} {built['digest']}")


@app.command()
def ps(*, as_json: Json = False) -> None:
    """List the sandbox containers of this Docker daemon."""
    from agentbench_sandbox.reaper import find

    with one_line_errors():
        found = find()
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in found], indent=2))
        return
    for entry in found:
        note = f"  orphan: {entry.orphan}" if entry.orphan else ""
        typer.echo(f"{entry.container[:12]}  {entry.status}  {entry.owner}{note}")


@app.command()
def reap(*, as_json: Json = False) -> None:
    """Remove containers whose owner has ended or whose lifetime is over."""
    from agentbench_sandbox.reaper import reap as remove_orphans

    with one_line_errors():
        removed = remove_orphans()
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in removed], indent=2))
        return
    typer.echo(f"removed {len(removed)}")


@app.command()
def shell(backend: str = "auto", image: str | None = None) -> None:
    """Read commands line by line and run each in one sandbox."""
    from agentbench_sandbox.sandbox import open_sandbox

    with one_line_errors(), open_sandbox(backend, image=image) as sandbox:
        typer.echo(f"{sandbox.backend}, {sandbox.workdir}; end with Ctrl-D", err=True)
        for line in sys.stdin:
            result = sandbox.exec(["sh", "-c", line], timeout_s=600)
            sys.stdout.write(result.stdout)
            sys.stderr.write(result.stderr)
            if result.exit_code:
                typer.echo(f"[{result.exit_code}]", err=True)


def main() -> None:
    """Run the command line."""
    app()
