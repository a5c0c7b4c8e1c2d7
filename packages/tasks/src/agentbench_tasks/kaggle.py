"""Fetch a competition with Kaggle's own client, which finds the user's credentials by itself."""

import csv
import io
import math
import shutil
import zipfile
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from agentbench_tasks.errors import (
    ChangedDataError,
    CredentialsError,
    MissingExtraError,
    SourceError,
)

BOARD = "leaderboard.csv"
_NO_CREDENTIALS = (
    "Kaggle does not know this user: create an API token in your Kaggle settings and save it where"
    " Kaggle's client looks for it"
)


def fetch_competition(competition: str, folder: Path) -> None:
    """Download all raw files of a competition; a download cut short is resumed by the next call.

    Args:
        competition: Its slug.
        folder: Where to put the files.

    Raises:
        MissingExtraError: The client is not installed.
        CredentialsError: No credentials, or the rules are not accepted.
        ChangedDataError: What came is damaged.
        SourceError: Kaggle cannot be reached or has no such competition.
    """
    client = _client("kagglehub")
    try:
        _asked(
            lambda: client.competition_download(competition, output_dir=str(folder)), competition
        )
    except ChangedDataError:
        shutil.rmtree(folder, ignore_errors=True)  # the client would take it for whole next time
        raise
    shutil.rmtree(folder / ".complete", ignore_errors=True)  # the client's own mark


def fetch_board(competition: str, path: Path) -> bool:
    """Download the leaderboard: a CSV file with one column, `score`, best row first.

    Args:
        competition: Its slug.
        path: File to write; only a whole one is ever there.

    Returns:
        Whether Kaggle gave it: many accounts may see the data and not the board.
    """
    clients = _client("kagglehub.clients")
    types = _client("kagglesdk.competitions.types.competition_api_service")

    def ask() -> Any:  # noqa: ANN401 - a response of the client's HTTP library
        request = types.ApiDownloadLeaderboardRequest()
        request.competition_name = competition
        with clients.build_kaggle_client() as api:
            return api.competitions.competition_api_client.download_leaderboard(request)

    try:
        scores = _scores(_asked(ask, competition).content)
    except (SourceError, ChangedDataError):
        return False
    if not scores:
        return False
    whole = path.with_name(f".{path.name}")
    whole.write_text("score\n" + "".join(f"{score}\n" for score in scores), encoding="utf-8")
    whole.rename(path)
    return True


def read_board(path: Path) -> list[float]:
    """Scores of a fetched leaderboard; empty when none was fetched."""
    if not path.is_file():
        return []
    return [float(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def _scores(content: bytes) -> list[float]:
    """The column `Score` of the CSV file, zipped or not, that Kaggle sends; empty if it is none."""
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = archive.read(archive.namelist()[0])
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace")))
        scores = [float(row["Score"]) for row in rows if row["Score"]]
    except (LookupError, TypeError, ValueError, csv.Error, zipfile.BadZipFile, zlib.error):
        return []
    return [score for score in scores if math.isfinite(score)]


def _client(module: str) -> Any:  # noqa: ANN401 - an untyped library
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(
            "fetching from Kaggle needs its client: pip install 'agentbench-tasks[kaggle]'"
        ) from None


def _asked(ask: Callable[[], Any], competition: str) -> Any:  # noqa: ANN401 - what the client gives
    """Call the client; what it raises as this package's errors, in one sentence."""
    errors = _client("kagglehub.exceptions")
    requests = _client("requests")
    try:
        answer = ask()
        if hasattr(answer, "raise_for_status"):
            answer.raise_for_status()
        return answer
    except (errors.CredentialError, errors.UnauthenticatedError) as error:
        raise CredentialsError(_NO_CREDENTIALS) from error
    except (errors.KaggleApiHTTPError, requests.HTTPError) as error:
        status = getattr(error.response, "status_code", None)
        raise _refused(status, competition) from error
    except (errors.NotFoundError, errors.BackendError) as error:
        raise SourceError(f"Kaggle does not give {competition}: {error}") from error
    except (errors.DataCorruptionError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ChangedDataError(
            f"what Kaggle sent for {competition} is damaged or cut short: run again"
        ) from error
    except OSError as error:
        if error.errno is not None:  # the disk; what has no number comes from the network
            raise
        raise SourceError(f"Kaggle cannot be reached for {competition}") from error


def _refused(status: int | None, competition: str) -> SourceError:
    if status == 401:
        return CredentialsError(_NO_CREDENTIALS)
    if status == 403:
        rules = f"https://www.kaggle.com/competitions/{competition}/rules"
        return CredentialsError(f"Kaggle refuses {competition}: accept its rules at {rules} first")
    return SourceError(f"Kaggle answered {status} for {competition}")
