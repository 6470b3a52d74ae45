"""The endpoints as tools for agents, over MCP (Model Context Protocol).

A call goes through the server's own queue, with the address of its caller, so it has the limits of every visitor.
"""

import base64
import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager

import gradio.mcp
import httpx
from gradio.processing_utils import add_root_url
from gradio_client import handle_file
from gradio_client.utils import is_file_obj_with_meta, is_http_url_like
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import ImageContent, TextContent
from PIL import Image

from ..model.image_loading_tergan import open_unlimited
from ..model.provenance_tergan import encode_synthetic
from .components import save_data_url
from .limits import MAX_FILE_SIZE, MAX_MCP_REQUEST_BYTES
from .server import OUR_FAULT


PREVIEW_SIDE = 1024  # pixels of a result that is shown to an agent; its address has all of them
MAX_PREVIEW_PIXELS = 20_000_000  # of a result with a preview, which is made while other requests wait
NO_PHOTO = f"{{name}} must be the http(s) address of a photo, or a data: URL with its base64, up to {MAX_FILE_SIZE}."


def session_manager(**settings) -> StreamableHTTPSessionManager:
    """The manager of the connections, which takes photos in base64 up to the limit of an upload. By itself it takes
    4 MiB, in versions that have such a limit."""
    if "max_request_body_size" in inspect.signature(StreamableHTTPSessionManager).parameters:
        settings["max_request_body_size"] = MAX_MCP_REQUEST_BYTES
    return StreamableHTTPSessionManager(**settings)


class PublicMcpServer(gradio.mcp.GradioMCPServer):
    """Gradio's MCP server, with results that keep the notice that they are synthetic, and files that are deleted."""

    StreamableHTTPSessionManager = staticmethod(session_manager)

    def convert_strings_to_filedata(self, value: dict, filedata_positions: list[list]) -> dict:
        """Replace the photos among a tool's arguments by Gradio's file data. Photos in base64 are saved in the
        server's upload folder."""
        return {
            name: _file_data(name, given) if [name] in filedata_positions else given for name, given in value.items()
        }

    async def _execute_tool_without_progress(self, job) -> list:
        with refusal_as_sentence():
            return await super()._execute_tool_without_progress(job)

    async def _execute_tool_with_progress(self, job, progress_token):
        with refusal_as_sentence():
            return await super()._execute_tool_with_progress(job, progress_token)

    def postprocess_output_data(self, data: list, root_url: str) -> list[TextContent | ImageContent]:
        """Give each picture as a preview and an address, everything else as JSON."""
        content: list[TextContent | ImageContent] = []
        for output in add_root_url(data, root_url, None):
            if not is_file_obj_with_meta(output):
                content.append(TextContent(type="text", text=json.dumps(output)))
                continue
            if preview := preview_of(output["path"]):
                shown = base64.b64encode(preview).decode()
                content.append(ImageContent(type="image", data=shown, mimeType="image/jpeg"))
            content.append(TextContent(type="text", text=f"In full resolution: {output['url']}"))
        return content


@contextmanager
def refusal_as_sentence() -> Iterator[None]:
    """Tell an agent why the queue refused its call, in the server's own words."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        try:
            detail = error.response.json()["detail"]
        except (ValueError, LookupError, TypeError):
            detail = OUR_FAULT
        raise RuntimeError(detail) from None


def preview_of(path: str) -> bytes | None:
    """A result as a JPEG of at most `PREVIEW_SIDE` pixels that says it is synthetic; `None` if it is very large."""
    with open_unlimited(path) as opened:
        if opened.width * opened.height > MAX_PREVIEW_PIXELS:
            return None
        preview = opened.convert("RGB")
    preview.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
    return encode_synthetic(preview, "JPEG", quality=90)


def _file_data(name: str, given):
    try:
        if isinstance(given, str) and given.startswith("data:"):
            return handle_file(save_data_url(given))
        if isinstance(given, str) and is_http_url_like(given):
            return handle_file(given)
    except (ValueError, OSError):  # no base64, or too much of it
        pass
    raise ValueError(NO_PHOTO.format(name=name))


def install():
    """Let `launch` use `PublicMcpServer`. Gradio has no setting for it."""
    gradio.mcp.GradioMCPServer = PublicMcpServer
