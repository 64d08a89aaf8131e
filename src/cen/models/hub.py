"""The Hugging Face Hub: one file of weights is fetched from a repository; folders are sent to it.

Of a repository nothing but the one ``.safetensors`` file that is asked for is fetched: whatever
code, pickles or configuration lie beside it stay there. huggingface_hub (``cen[hub]``) is imported
when something is fetched or sent.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeGuard
from urllib.parse import urlsplit
from urllib.request import getproxies

from cen.errors import CenError, CheckpointError, message_of, shown
from cen.files import SHARED_NETWORK

PREFIX = "hf://"
WEIGHTS = SHARED_NETWORK
CARD = "README.md"
_PATIENCE = 5.0
"""Seconds in which the Hub answers at all."""

_ADDRESS = re.compile(
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)"
    r"(?:@(?P<revision>refs/pr/\d+|[\w.-]+))?"
    r"(?:/(?P<file>[\w./-]+\.safetensors))?",
    re.ASCII,
)


class Address(NamedTuple):
    """A file of weights on the Hub.

    Attributes:
        repository: ``owner/name``.
        revision: a branch, tag or commit; None: the main branch.
        file: its path in the repository.
    """

    repository: str
    revision: str | None
    file: str


def is_address(path: object) -> TypeGuard[str]:
    """Whether a path is one of the Hub, which a person wrote; a `Path` is one of this machine."""
    return isinstance(path, str) and path.startswith(PREFIX)


def address_of(text: str) -> Address:
    """Reads ``hf://owner/name[@revision][/file.safetensors]``.

    Raises:
        CheckpointError: it is written otherwise.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or {"", ".", ".."} & set(text.removeprefix(PREFIX).split("/")):
        raise CheckpointError(
            f"{shown(text)} is no network on the Hugging Face Hub; write hf://owner/name, "
            "hf://owner/name@revision or hf://owner/name/file.safetensors"
        )
    return Address(match["repository"], match["revision"], match["file"] or WEIGHTS)


def fetched(address: str) -> Path:
    """The file of an address in the cache of huggingface_hub, fetched where it is not there yet.

    Raises:
        CheckpointError: it is no address, there is no such file, or the Hub cannot be reached.
        CenError: huggingface_hub is not installed.
    """
    repository, revision, file = address_of(address)
    with _told(f"{address}: {file} cannot be fetched"):
        from huggingface_hub import hf_hub_download

        # Without a network the library would ask six times, for 23 seconds.
        away = _unreachable()
        try:
            cached_path = hf_hub_download(
                repository,
                file,
                revision=revision,
                library_name="cen",
                local_files_only=bool(away),
            )
        except OSError as error:
            if not away:
                raise
            raise OSError(f"{away}, and it was not fetched before") from error
        return Path(cached_path)


def push(folder: Path, repository: str, *, private: bool = False) -> str:
    """Sends the weights and the card of a folder to a repository, which is made where it is not.

    Args:
        folder: holds `WEIGHTS` and, if it shall be sent, `CARD`; other files stay here.
        repository: ``owner/name``.
        private: whether a new repository is seen by its owner alone.

    Returns:
        The URL of the repository.

    Raises:
        CheckpointError: the Hub refuses it or cannot be reached, or nobody is logged in.
        CenError: huggingface_hub is not installed.
    """
    check_repository(repository)
    with _told(f"{repository} cannot be sent to the Hugging Face Hub"):
        from huggingface_hub import HfApi

        if away := _unreachable():
            raise OSError(away)
        api = HfApi(library_name="cen")
        url = api.create_repo(repository, private=private or None, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=[WEIGHTS, CARD],
            commit_message="Network and model card of cen",
        )
        return str(url)


def check_repository(name: str) -> None:
    """Refuses what is no ``owner/name``.

    Raises:
        CheckpointError: it is none.
    """
    if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name, re.ASCII) is None:
        raise CheckpointError(f"{shown(name)} is no repository of the Hub; write owner/name")


def _unreachable() -> str:
    """Why the Hub cannot be reached from here, as part of a sentence; "" where it can, or may."""
    from huggingface_hub import constants

    place = urlsplit(constants.ENDPOINT)
    if constants.HF_HUB_OFFLINE or getproxies().get(place.scheme):
        return ""  # it is not to be asked, or the way to it is not straight
    port = place.port or (443 if place.scheme == "https" else 80)
    try:
        socket.create_connection((place.hostname or "", port), _PATIENCE).close()
    except OSError as error:
        return f"{place.hostname} cannot be reached ({error.strerror or error})"
    return ""


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Says in one line what the library or the Hub had against it."""
    try:
        import huggingface_hub  # noqa: F401 (its parts may have been imported before it was hidden)
        from httpx2 import HTTPError  # what huggingface_hub 2 speaks to the Hub with
        from huggingface_hub.errors import (
            EntryNotFoundError,
            HfHubHTTPError,
            LocalTokenNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError:
        raise CenError(f"{what}: that takes huggingface_hub; pip install 'cen[hub]'") from None
    login = "log in with: hf auth login"
    try:
        yield
    except RepositoryNotFoundError as error:
        why = f"there is no such repository, or it is closed to you ({login})"
        raise CheckpointError(f"{what}: {why}") from error
    except LocalTokenNotFoundError as error:
        raise CheckpointError(f"{what}: nobody is logged in; {login}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        hint = f"; {login}, with a token that may write" if status in (401, 403) else ""
        raise CheckpointError(f"{what}: {message_of(error)}{hint}") from error
    except (EntryNotFoundError, HTTPError, OSError, ValueError) as error:
        raise CheckpointError(f"{what}: {message_of(error)}") from error
