"""An engine that answers what a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Answers by the end of the path: JSON; bytes, which are sent as they are; headers and one; or
    a function that gives one. An object with a `message` alone is an error.
    """
    known: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            answer = next((known[end] for end in known if path.endswith(end)), None)
            answer = answer() if callable(answer) else answer
            headers, answer = answer if isinstance(answer, tuple) else ({}, answer)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            failed = isinstance(answer, dict) and answer.keys() == {"message"}
            self.send_response_only(500 if failed else 200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
    yield known
    server.shutdown()
    server.server_close()
