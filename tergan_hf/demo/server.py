"""The app as a public server: what a visitor may ask for, and what happens with errors and with those who left."""

import asyncio
import ipaddress
import logging
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable

import anyio.to_thread
import gradio as gr
from fastapi import HTTPException
from gradio.context import LocalContext
from gradio.queueing import Event, Queue
from gradio.utils import get_upload_folder, run_coro_in_background
from pydantic import ValidationError
from starlette.responses import JSONResponse

from ..model.errors_tergan import TerGanError
from . import limits
from .sessions import delete_old_files, forget_idle_sessions


logger = logging.getLogger(__name__)

OUR_FAULT = "Something went wrong on our side. Please try another photo."
NOT_READABLE = "This request cannot be read: a value is missing, too large or of the wrong kind."
BUSY = "You have {count} requests in the queue, the most that this server takes from a visitor. Please wait for them."
FULL = "The queue is full. Please try again in a minute."
NO_ROOM = "The server has no room for files at the moment. Please try again in half an hour."
MCP_OLD_ROUTES = ("mcp/sse", "mcp/messages")  # MCP's older transport holds a connection per agent
# Gradio's endpoints that this app does not use, and that write files or run FFmpeg for anybody.
CLOSED_ROUTES = (
    "deep_link", "process_recording", "vibe-", "undo-vibe-edit", "monitoring", "proxy=", *MCP_OLD_ROUTES,
)  # fmt: skip
LONG_GROUP = "long"


class PublicBlocks(gr.Blocks):
    """Blocks whose every event ends with a result or with a sentence for visitors, whatever is sent to it. Nothing
    that a visitor sends is written to the log."""

    def queue(self, *args, **kwargs):
        super().queue(*args, **kwargs)
        self._queue = VisitorQueue(self._queue)
        return self

    async def process_api(self, block_fn, inputs, *args, **kwargs):
        try:
            return await super().process_api(block_fn, inputs, *args, **kwargs)
        except gr.Error as error:
            # Gradio would print it to the log.
            raise gr.Error(str(error.message), duration=12, print_exception=False) from None
        except TerGanError as error:
            raise gr.Error(sentence(str(error)), duration=12, print_exception=False) from None
        except ValidationError:  # of what was sent
            raise gr.Error(NOT_READABLE, duration=12, print_exception=False) from None
        except Exception as error:
            log_place("an event", error)
            raise gr.Error(NOT_READABLE, duration=12, print_exception=False) from None


class VisitorQueue(Queue):
    """
    A queue in which no visitor and no kind of work keeps the others out. The work of visitors who left is dropped, and
    sessions and files are forgotten after their time.

    A visitor is a session or, for agents and programs that name none, an address.

    Args:
        queue: Gradio's own, for its settings.
    """

    def __init__(self, queue: Queue):
        super().__init__(
            live_updates=queue.live_updates, concurrency_count=queue.max_thread_count,
            update_intervals=queue.update_intervals, max_size=queue.max_size, blocks=queue.blocks,
            default_concurrency_limit=queue.default_concurrency_limit,
        )  # fmt: skip
        self._unread: set[str] = set()

    def start(self):
        super().start()
        run_coro_in_background(self.keep_tidy)

    async def push(self, body, request, username):
        if refused := self._refusal(body, request):
            raise HTTPException(429, refused, headers={"Retry-After": "30"})
        try:
            answer = await super().push(body, request, username)
        except (KeyError, TypeError, ValueError):
            raise HTTPException(400, NOT_READABLE) from None
        for queue in self.event_queue_per_concurrency_id.values():
            take_turns(queue.queue)
        return answer

    def waiting(self) -> list[Event]:
        """The events in line."""
        return [event for queue in self.event_queue_per_concurrency_id.values() for event in queue.queue]

    def running(self) -> list[Event]:
        """The events at work."""
        return [event for job in self.active_jobs if job for event in job]

    def _refusal(self, body, request) -> str | None:
        """Why an event may not join the line."""
        functions = self.blocks.fns
        function = functions.get(body.fn_index) if hasattr(functions, "get") else None
        group = getattr(function, "concurrency_id", None)
        waiting, address = self.waiting(), address_of(request)
        visitor = address if is_agent(request) else body.session_hash or address
        in_group = [event for event in waiting if event.concurrency_id == group]
        own = [event for event in waiting if _visitor(event) == visitor]
        own_in_group = [event for event in in_group if _visitor(event) == visitor]
        from_address = [event for event in in_group if address_of(event.request) == address]
        most_of_address = limits.MAX_WAITING_OF_ADDRESS
        if group == LONG_GROUP:
            most_of_address = limits.MAX_CLIPS_WAITING_OF_ADDRESS
            if len(own_in_group) >= limits.MAX_CLIPS_WAITING_OF_VISITOR:
                return BUSY.format(count=len(own_in_group))
        unread = self.pending_messages_per_session.get(body.session_hash)
        if unread is not None and unread.qsize() > limits.MAX_UNREAD_MESSAGES:
            return BUSY.format(count=unread.qsize())
        if len(own) >= limits.MAX_WAITING_OF_VISITOR:
            return BUSY.format(count=len(own))
        if len(from_address) >= most_of_address or len(in_group) >= limits.MAX_WAITING:
            return FULL
        return None

    async def keep_tidy(self):
        """Drop the work of visitors who left, and forget sessions and files after their time. It never ends."""
        last_forgotten = last_deleted = time.monotonic()
        while not self.stopped:
            await asyncio.sleep(limits.LOOK_FOR_LEFT_EVERY)
            try:
                await self.drop_left_behind()
                if time.monotonic() - last_forgotten > limits.FORGET_SESSIONS_EVERY:
                    last_forgotten = time.monotonic()
                    self.forget_sessions()
                if time.monotonic() - last_deleted > limits.CHECK_FILES_EVERY:
                    last_deleted = time.monotonic()
                    kept = [
                        path for block in self.blocks.blocks.values() for path in getattr(block, "keep_in_cache", ())
                    ]
                    await anyio.to_thread.run_sync(
                        delete_old_files, get_upload_folder(), limits.FILES_KEPT_SECONDS, kept
                    )
            except Exception as error:  # the next round may do better
                log_place("keep_tidy", error)

    async def drop_left_behind(self):
        """Drop the events of sessions whose messages nobody reads: the visitor has left, or never listened."""
        now, unread = time.monotonic(), set()
        for event in [*self.waiting(), *self.running()]:
            messages = self.pending_messages_per_session.get(event.session_hash)
            listens = messages is not None and messages.empty()
            if not listens and now - event.enqueue_time > limits.UNREAD_SECONDS:
                unread.add(event.session_hash)
        for session_hash in unread & self._unread:
            await self.clean_events(session_hash=session_hash)
        self._unread = unread

    def forget_sessions(self):
        """Forget idle sessions and what Gradio keeps about their events."""
        events = [*self.waiting(), *self.running()]
        ids, busy = {event._id for event in events}, {event.session_hash for event in events}
        now = time.monotonic()
        for event_id, event in list(self.event_ids_to_events.items()):
            if event_id not in ids and now - event.enqueue_time > limits.CLOSED_SESSION_KEPT_SECONDS:
                self.event_ids_to_events.pop(event_id, None)
                self.pending_event_ids_session.get(event.session_hash, set()).discard(event_id)
        for session_hash in [name for name, own in self.pending_event_ids_session.items() if not own]:
            if session_hash not in busy:
                self.pending_event_ids_session.pop(session_hash, None)
        if self.server_app is not None:
            forget_idle_sessions(self.server_app.state_holder, busy)


class ClosedRoutes:
    """ASGI middleware that closes the routes this app does not use, and answers errors with a sentence."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"].strip("/").removeprefix("gradio_api/")
        if path.startswith(CLOSED_ROUTES):
            return await JSONResponse({"detail": "Not found"}, 404)(scope, receive, send)
        if path.startswith("heartbeat/"):
            session = scope["app"].state_holder.session_data.get(path.removeprefix("heartbeat/"))
            if session is not None:  # a page that lost its connection is back
                session.is_closed = False
        is_mcp, is_upload = path.split("/")[0] == "mcp", path.startswith("upload")
        if is_mcp:
            scope = {**scope, "headers": with_forwarded_address(scope)}
        size = dict(scope["headers"]).get(b"content-length", b"0")
        most = limits.MAX_MCP_REQUEST_BYTES if is_mcp else limits.MAX_REQUEST_BYTES
        if not is_upload and size.isdigit() and int(size) > most:
            return await JSONResponse({"detail": NOT_READABLE}, 413)(scope, receive, send)
        if is_upload and not has_room():
            return await JSONResponse({"detail": NO_ROOM}, 507)(scope, receive, send)
        if is_upload:  # of one file, which Gradio checks by itself
            most = limits.MAX_FILE_SIZE_BYTES + limits.MAX_FORM_BYTES
        started, received, values = False, 0, 0

        async def count():
            # A body that comes in chunks does not say how long it is. Many small values take far more memory than
            # their text.
            nonlocal received, values
            message = await receive()
            body = message.get("body", b"")
            received, values = received + len(body), values + (0 if is_upload else body.count(b","))
            if received > most or values > limits.MAX_VALUES_OF_REQUEST:
                raise ValueError("the body of a request is too large")
            return message

        async def watch(message):
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, count, watch)
        except Exception as error:
            log_place("a request", error)
            if not started:
                await JSONResponse({"detail": NOT_READABLE}, 400)(scope, receive, send)


def has_room() -> bool:
    """Whether the disk has room for visitors' files."""
    try:
        return shutil.disk_usage(get_upload_folder()).free > limits.LEAST_FREE_BYTES
    except OSError:  # the folder is made with the first file
        return True


def take_turns(line: list[Event]):
    """
    Sort events in line, in place: the first of every address, then the second of every address, and so on. Within an
    address the visitors take turns in the same way. Sessions alone would not do: a program can invent as many as it
    likes.
    """
    for holder in (_visitor, lambda event: address_of(event.request)):
        turns: dict[str, int] = {}
        seen: Counter[str] = Counter()
        for event in line:
            name = holder(event)
            turns[event._id] = seen[name]
            seen[name] += 1
        line.sort(key=lambda event: turns[event._id])


def visitor_has_left() -> Callable[[], bool]:
    """A function that tells whether the visitor for whom the current event works has left. It may be called from other
    threads."""
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    running = getattr(getattr(blocks, "_queue", None), "running", list)
    event = next((event for event in running() if event._id == event_id), None)
    return lambda: event is not None and not event.alive


def address_of(request) -> str:
    """The address of a visitor. Behind a proxy it is the last public one that the proxies name."""
    host = getattr(getattr(request, "client", None), "host", None) or "unknown"
    if _is_public(host):
        return host
    for named in reversed((request.headers.get("x-forwarded-for") or "").split(",") if request is not None else []):
        if _is_public(named.strip()):
            return named.strip()
    return host


def with_forwarded_address(scope) -> list[tuple[bytes, bytes]]:
    """The headers of a request whose `X-Forwarded-For` ends with the address that it comes from. Gradio repeats the
    request of an agent on this machine, with its headers."""
    forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    others = [(name, value) for name, value in scope["headers"] if name != b"x-forwarded-for"]
    sender = [scope["client"][0].encode()] if scope.get("client") else []
    return [*others, (b"x-forwarded-for", b", ".join([*forwarded, *sender]))]


def is_agent(request) -> bool:
    """Whether a request comes from Gradio's MCP server, whose session all agents share."""
    return getattr(request, "headers", {}).get("x-gradio-user") == "mcp"


def sentence(message: str) -> str:
    """A message that begins with a capital and ends with a full stop."""
    return message[:1].upper() + message[1:].rstrip(".") + "."


def log_place(name: str, error: Exception):
    """Log where an error happened, without its text, which may name a visitor's file."""
    logger.error(
        "%s failed with %s\n%s", name, type(error).__name__, "".join(traceback.format_tb(error.__traceback__))
    )


def _visitor(event: Event) -> str:
    # Gradio names the session of a program that names none after the event.
    has_no_session = event.session_hash == event._id or is_agent(event.request)
    return address_of(event.request) if has_no_session else event.session_hash


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False
