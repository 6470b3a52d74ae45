"""Serve the built page on this machine, with the headers that its threads need: `python web/serve.py build/web`."""

import argparse
import functools
import http.server
import sys
import threading
import webbrowser
from pathlib import Path


# No common one: the page's service worker answers for whatever is served at this address later.
PORT = 28419
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "no-cache",
}


class PageHandler(http.server.SimpleHTTPRequestHandler):
    """Files with the headers of an isolated page."""

    extensions_map = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }  # fmt: skip
    protocol_version = "HTTP/1.1"

    def end_headers(self):
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format, *arguments):
        pass


class PageServer(http.server.ThreadingHTTPServer):
    """A server that does not report browsers that close their connection."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def make_server(folder: str | Path, port: int = 0) -> PageServer:
    """A server of a folder on 127.0.0.1. Port 0 takes a free one."""
    return PageServer(("127.0.0.1", port), functools.partial(PageHandler, directory=str(folder)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--open", action="store_true", help="open a browser")
    options = parser.parse_args()
    server = make_server(options.folder, options.port)
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    print(f"TER-GAN in your browser: {address} (end with Ctrl+C)", flush=True)
    if options.open:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
