"""Fetch a file that an agent or program names by its address."""

import asyncio
import ipaddress
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urljoin

import gradio.processing_utils
import httpx
from gradio.processing_utils import PUBLIC_HOSTNAME_WHITELIST
from gradio_client.utils import is_http_url_like, strip_invalid_filename_characters
from safehttpx import AsyncSecureTransport, async_validate_url, matches_domain_whitelist

from ..model.errors_tergan import InvalidInputError
from .limits import FETCH_SECONDS, MAX_FILE_SIZE, MAX_FILE_SIZE_BYTES, LimitError


MAX_REDIRECTS = 5
PLAIN = "identity"  # a content that is not packed
FILE_ROUTE = "/gradio_api/file="


class FetchError(InvalidInputError):
    """A file cannot be fetched. The message is for visitors."""


async def fetch_file(url: str, cache_dir: str) -> str:
    """
    Download a file from a public address, with the limits of an upload.

    An address of this server's own, as it gives for uploads and results, is answered from its folder.

    Args:
        cache_dir: the server's upload folder.

    Returns:
        path of the file, in the folder.

    Raises:
        LimitError: the file is too large.
        FetchError: it is not there, takes too long, or the address is not public.
    """
    if own := own_file(url, cache_dir):
        return own
    folder = tempfile.mkdtemp(dir=cache_dir)
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            return await _download(url, folder)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, LimitError) or not isinstance(error, Exception):
            raise
        raise FetchError(
            "the file at this address cannot be fetched. Give a public http(s) address that answers within "
            f"{FETCH_SECONDS} seconds, or upload the file"
        ) from error


def own_file(url: str, folder: str) -> str | None:
    """The path of a file in `folder` that the address of this server names, `None` for other addresses."""
    path = unquote(httpx.URL(url).path).partition(FILE_ROUTE)[2]
    inside = Path(path).resolve().is_relative_to(Path(folder).resolve())
    return path if path and inside and os.path.isfile(path) else None


async def _download(url: str, folder: str) -> str:
    for _ in range(MAX_REDIRECTS + 1):
        host = httpx.URL(url).host
        # Every address is checked anew: a public one may redirect to this machine's network. The Hub's own hosts may
        # have private addresses for a Space.
        trusted = matches_domain_whitelist(host, PUBLIC_HOSTNAME_WHITELIST)
        transport = None if trusted else AsyncSecureTransport(await public_address(host))
        async with (
            httpx.AsyncClient(transport=transport, headers={"Accept-Encoding": PLAIN}) as client,
            client.stream("GET", url) as response,
        ):
            if response.has_redirect_location:
                url = urljoin(url, response.headers["Location"])
                if not is_http_url_like(url):
                    break
                continue
            response.raise_for_status()
            if response.headers.get("Content-Encoding", PLAIN) != PLAIN:
                break  # a few kilobytes may unpack to gigabytes
            name = strip_invalid_filename_characters(Path(httpx.URL(url).path).name) or "file"
            return await _write(response, Path(folder) / name)
    raise FetchError("the address leads to no file")


async def public_address(host: str) -> str:
    """
    Resolve a host.

    Raises:
        ValueError: it cannot be resolved, or its address is not one of the public network.
    """
    address = await async_validate_url(host)
    if not ipaddress.ip_address(address).is_global:  # safehttpx lets 100.64.0.0/10 pass, which providers use inside
        raise ValueError(f"{host} is not public")
    return address


async def _write(response: httpx.Response, path: Path) -> str:
    size = 0
    with path.open("wb") as file:
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > MAX_FILE_SIZE_BYTES:
                raise LimitError(f"the file is too large: this server takes up to {MAX_FILE_SIZE.upper()}")
            file.write(chunk)
    return str(path)


def install():
    """Let Gradio fetch files with `fetch_file`. Its own function has no limits, and it has no setting for another."""
    gradio.processing_utils.async_ssrf_protected_download = fetch_file
