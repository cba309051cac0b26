"""CHAT_BASE_URL=http://127.0.0.1:8080/openai/v1 CHAT_MODEL=llm-qa python -m app.chat"""

import logging
import os
import socket
import sys
from contextlib import suppress

import uvicorn

from app.chat.settings import Settings, WrongSettings, read_settings

STOP_S = 10
"""Answers under way may take this long to end when the service is stopped."""


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        settings = read_settings()
        serve(settings)
    except WrongSettings as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        print(
            "error: the chat needs the package openai; install it with: pip install 'openai>=3.54,<4'", file=sys.stderr
        )
        return 2
    return 0


def serve(settings: Settings) -> None:
    """Serve until a signal. Raises WrongSettings if the port can't be had."""
    from app.chat.service import create_app

    app = create_app(settings)
    try:
        listener = socket.create_server(("127.0.0.1", settings.port))
    except OSError as error:
        raise WrongSettings(
            f"CHAT_PORT={settings.port} can't be had ({os.strerror(error.errno or 0)}); give another"
        ) from error
    with listener, suppress(KeyboardInterrupt):  # uvicorn has ended in order, and raises its signal again
        print(f"chat with {settings.model} on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=STOP_S)).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
