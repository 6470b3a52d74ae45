"""A Hub on this machine, with the endpoints that `huggingface_hub` needs to create, push, tag and download."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import transformers.utils.hub
import uvicorn
from datasets import config
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from huggingface_hub import close_session, constants

from .ports import free_port


DATE = "2026-01-01T00:00:00.000Z"
TOKEN = "hf_loopback"
LARGE = (".safetensors", ".parquet", ".jpg", ".png")


@dataclass
class Repository:
    """A repository: the files of each commit, and the commit of each branch and tag."""

    private: bool
    sdk: str | None = None
    hardware: str | None = None
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def add(self, branch: str, files: dict[str, bytes]) -> str:
        commit = hashlib.sha1(f"{id(self)}:{len(self.commits)}".encode()).hexdigest()
        self.commits.append((commit, files))
        self.refs[branch] = commit
        return commit

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commit = self.refs.get(revision) or self.tags.get(revision) or revision
        return next(((name, files) for name, files in self.commits if name == commit), None)


def problem(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message})


def digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_large(path: str) -> bool:
    return path.endswith(LARGE)


class LoopbackHub:
    """
    A server that runs until `close`.

    Attributes:
        stall: an event that large uploads wait for once they have begun. A test sets it to interrupt a push.
        uploads_begun: set when a large upload has begun.
        paid_hardware: hardware of Spaces that the user's account may not use.
        uploads: SHA-256 of each large file that has arrived.
    """

    def __init__(self):
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large: dict[str, bytes] = {}
        self.variables: dict[str, dict[str, str]] = {}
        self.paid_hardware: set[str] = set()
        self.stall: threading.Event | None = None
        self.uploads_begun = threading.Event()
        self.uploads: list[str] = []
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(uvicorn.Config(self._app(), host="127.0.0.1", port=self.port, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)

    def close(self):
        if self.stall:
            self.stall.set()
        self._server.should_exit = True
        self._thread.join(timeout=5)

    def files(self, repo_id: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        return self.repositories[kind, repo_id].at(revision)[1]

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/api/whoami-v2")
        def whoami(request: Request):
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return problem(401, "Unauthorized", "Invalid user token.")
            return {"type": "user", "id": "1", "name": "me", "orgs": [{"name": "org", "type": "org"}],
                    "auth": {"type": "access_token", "accessToken": {"role": "write"}}}  # fmt: skip

        @app.post("/api/validate-yaml")
        def validate():
            return {"errors": [], "warnings": []}

        @app.post("/api/repos/create")
        async def create(request: Request):
            options = await request.json()
            kind, repo_id = options.get("type") or "model", f"{options.get('organization') or 'me'}/{options['name']}"
            address = f"{self.endpoint}/{'' if kind == 'model' else kind + 's/'}{repo_id}"
            if options["name"] == "forbidden":
                return problem(403, "Forbidden", "You don't have the rights to create a model under this namespace")
            if options.get("hardware") in self.paid_hardware:
                return problem(402, "PaymentRequired", "Subscribe to PRO to use this hardware")
            if (kind, repo_id) in self.repositories:
                return JSONResponse({"error": "You already created this repo", "url": address}, 409)
            private = bool(options.get("private")) or options.get("visibility") == "private"
            repository = self.repositories[kind, repo_id] = Repository(
                private, options.get("sdk"), options.get("hardware")
            )
            repository.add("main", {})
            return {"url": address, "name": repo_id, "id": repo_id}

        @app.api_route("/api/{kind}/{owner}/{name}", methods=["GET"])
        @app.api_route("/api/{kind}/{owner}/{name}/{verb}", methods=["GET", "POST", "DELETE"])
        @app.api_route("/api/{kind}/{owner}/{name}/{verb}/{revision}", methods=["GET", "POST"])
        @app.api_route("/api/{kind}/{owner}/{name}/{verb}/{revision:path}", methods=["DELETE"])
        @app.api_route("/api/{kind}/{owner}/{name}/{verb}/{revision}/{path:path}", methods=["GET", "POST"])
        async def repository_api(
            request: Request, kind: str, owner: str, name: str, verb: str = "", revision: str = "main", path: str = ""
        ):
            repo_id = f"{owner}/{name}"
            repository = self._visible(request, kind, repo_id)
            if repository is None:
                return problem(404, "RepoNotFound", "Repository not found")
            body = await request.body()
            options = (
                json.loads(body)
                if body and verb in ("tag", "branch", "preupload", "paths-info", "variables", "hardware")
                else {}
            )
            if verb == "branch":
                start = repository.at(options.get("startingPoint") or "main")
                if revision in repository.refs:
                    return problem(409, "Conflict", "Reference already exists")
                repository.refs[revision] = start[0]
                return {}
            if verb == "tag" and request.method == "DELETE":
                return {} if repository.tags.pop(revision, None) else problem(404, "RevisionNotFound", revision)
            if verb == "tag" and options["tag"] in repository.tags:
                return problem(409, "Conflict", "Tag already exists")
            if verb == "tag":
                repository.tags[options["tag"]] = repository.at(revision)[0]
                return {}
            if verb == "variables":
                known = self.variables.setdefault(repo_id, {})
                if request.method == "POST":
                    known[options["key"]] = options["value"]
                if request.method == "DELETE":
                    del known[options["key"]]
                return {name: {"value": value} for name, value in known.items()}
            if verb == "hardware":
                if options["flavor"] in self.paid_hardware:
                    return problem(402, "PaymentRequired", "Subscribe to PRO to use this hardware")
                repository.hardware = options["flavor"]
            if verb in ("hardware", "runtime"):
                hardware = {"current": repository.hardware, "requested": repository.hardware}
                return {"stage": "RUNNING", "hardware": hardware, "gcTimeout": None}
            found = repository.at(revision)
            if found is None:
                return problem(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            commit, files = found
            if verb in ("", "revision"):
                return {
                    "_id": "1", "id": repo_id, "modelId": repo_id, "sha": commit, "private": repository.private,
                    "disabled": False, "gated": False, "author": owner, "tags": [], "downloads": 0, "likes": 0,
                    "lastModified": DATE, "createdAt": DATE, "sdk": repository.sdk,
                    "siblings": [{"rfilename": file, "size": len(data)} for file, data in sorted(files.items())],
                }  # fmt: skip
            if verb == "refs":
                return {
                    "branches": [
                        {"name": b, "ref": f"refs/heads/{b}", "targetCommit": c} for b, c in repository.refs.items()
                    ],
                    "tags": [
                        {"name": t, "ref": f"refs/tags/{t}", "targetCommit": c} for t, c in repository.tags.items()
                    ],
                    "converts": [],
                }
            if verb == "commits":
                return [
                    {"id": name, "title": "", "message": "", "authors": [], "date": DATE}
                    for name, _ in reversed(repository.commits)
                ]
            if verb == "discussions":
                return {"discussions": [], "count": 0, "start": 0}
            if verb == "tree":
                recursive = request.query_params.get("recursive", "false").lower() in ("true", "1")
                return self._tree(files, path.strip("/"), recursive)
            if verb == "paths-info":
                paths = options["paths"]
                folders = [name for name in paths if any(file.startswith(f"{name}/") for file in files)]
                return [self._entry(file, files[file]) for file in paths if file in files] + [
                    self._folder(name) for name in folders
                ]
            if verb == "preupload":
                return {
                    "files": [
                        {
                            "path": file["path"], "shouldIgnore": False,
                            "uploadMode": "lfs" if is_large(file["path"]) else "regular",
                            "oid": self._identifier(file["path"], files.get(file["path"])),
                        }
                        for file in options["files"]
                    ]
                }  # fmt: skip
            if verb == "commit":
                return self._commit(repository, revision, dict(files), body, repo_id)
            return problem(404, "NotFound", f"no '{verb}' here")

        @app.post("/{prefix:path}.git/info/lfs/objects/batch")
        async def batch(request: Request):
            objects = []
            for entry in (await request.json())["objects"]:
                upload = {"upload": {"href": f"{self.endpoint}/large/{entry['oid']}", "header": {}}}
                objects.append(
                    {**entry, "authenticated": True, **({} if entry["oid"] in self.large else {"actions": upload})}
                )
            return JSONResponse({"transfer": "basic", "objects": objects}, media_type="application/vnd.git-lfs+json")

        @app.put("/large/{oid}")
        async def store(request: Request, oid: str):
            data = await request.body()
            self.uploads_begun.set()
            if self.stall is not None:
                while not self.stall.is_set():
                    await _sleep(0.02)
                return Response(status_code=410)
            if hashlib.sha256(data).hexdigest() != oid:
                return problem(400, "BadRequest", "wrong sha256")
            self.large[oid] = data
            self.uploads.append(oid)
            return Response()

        @app.api_route("/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
        @app.api_route("/{kind}/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
        def resolve(request: Request, owner: str, name: str, revision: str, path: str, kind: str = "models"):
            repository = self._visible(request, kind, f"{owner}/{name}")
            if repository is None:
                return problem(404, "RepoNotFound", "Repository not found")
            found = repository.at(revision)
            if found is None:
                return problem(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            commit, files = found
            headers = {"X-Repo-Commit": commit}
            if path not in files:
                return Response("Entry not found", 404, {**headers, "X-Error-Code": "EntryNotFound"})
            data = files[path]
            headers |= {"ETag": f'"{self._identifier(path, data)}"', "Content-Length": str(len(data))}
            if is_large(path):
                headers |= {"X-Linked-Etag": f'"{self._identifier(path, data)}"', "X-Linked-Size": str(len(data))}
            return Response(b"" if request.method == "HEAD" else data, headers=headers)

        return app

    def _visible(self, request: Request, kind: str, repo_id: str) -> Repository | None:
        repository = self.repositories.get((kind.removesuffix("s"), repo_id))
        is_hidden = repository is not None and repository.private and "authorization" not in request.headers
        return None if is_hidden else repository

    def _commit(self, repository: Repository, branch: str, files: dict[str, bytes], body: bytes, repo_id: str):
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                if value["oid"] not in self.large:
                    return problem(400, "BadRequest", "large file missing")
                files[value["path"]] = self.large[value["oid"]]
            elif operation["key"] == "deletedFile":
                files.pop(value["path"], None)
        commit = repository.add(branch, files)
        address = f"{self.endpoint}/{repo_id}/commit/{commit}"
        return {"success": True, "commitOid": commit, "commitUrl": address, "hookOutput": ""}

    def _tree(self, files: dict[str, bytes], path: str, recursive: bool):
        prefix = f"{path}/" if path else ""
        below = {file: data for file, data in sorted(files.items()) if file.startswith(prefix)}
        if path and not below:
            return problem(404, "EntryNotFound", f"{path} does not exist")
        folders = set()
        for file in below:
            parents = file.removeprefix(prefix).split("/")[:-1]
            folders |= {prefix + "/".join(parents[: depth + 1]) for depth in range(len(parents))}
        if not recursive:
            below = {file: data for file, data in below.items() if "/" not in file.removeprefix(prefix)}
            folders = {name for name in folders if "/" not in name.removeprefix(prefix)}
        return [self._folder(name) for name in sorted(folders)] + [self._entry(f, data) for f, data in below.items()]

    @staticmethod
    def _folder(path: str) -> dict:
        return {"type": "directory", "path": path, "oid": digest(path.encode()), "size": 0}

    @staticmethod
    def _identifier(path: str, data: bytes | None) -> str | None:
        if data is None:
            return None
        return hashlib.sha256(data).hexdigest() if is_large(path) else digest(data)

    def _entry(self, path: str, data: bytes) -> dict:
        entry = {"type": "file", "path": path, "size": len(data), "oid": digest(data)}
        if is_large(path):
            entry["lfs"] = {"oid": self._identifier(path, data), "size": len(data), "pointerSize": 134}
        return entry


@contextmanager
def used_here(hub: LoopbackHub, token: str = TOKEN) -> Iterator[pytest.MonkeyPatch]:
    """Let `huggingface_hub` and `datasets` in this process use the Hub, with a folder of their own. Yields a
    `MonkeyPatch` that ends with it."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as home:
        # What they read from the environment when they are imported.
        for module, values in (
            (constants, {
                "ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True,
                "HUGGINGFACE_CO_URL_TEMPLATE": f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
                "HF_HUB_CACHE": f"{home}/hub", "HF_TOKEN_PATH": f"{home}/token",
            }),
            (config, {
                "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": False, "HF_DATASETS_CACHE": Path(home) / "datasets",
            }),
            (transformers.utils.hub, {"_hf_api": None}),  # it keeps the address of its first use
        ):  # fmt: skip
            for name, value in values.items():
                patch.setattr(module, name, value)
        patch.setenv("HF_TOKEN", token)
        close_session()
        try:
            yield patch
        finally:
            close_session()


@contextmanager
def hub_here() -> Iterator[LoopbackHub]:
    """A Hub that this process uses."""
    served = LoopbackHub()
    try:
        with used_here(served):
            yield served
    finally:
        served.close()


async def _sleep(seconds: float):
    import asyncio

    await asyncio.sleep(seconds)
