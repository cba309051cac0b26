"""A server whose listening sockets come from the process that started it, so that another can take its place unseen.

Standard input is a Unix socket. Every listening socket that comes through it is served from then on, and one byte goes
back. When the other end closes it, or is killed, the server retires: it accepts no more, answers what it has, and tells
each connection that its answer was the last one. Only the server imports this.
"""

import asyncio
import logging
import socket
from typing import Any

import uvicorn
from kserve.protocol.rest.server import _RefreshingServer

IDLE_S = 5.0
"""How long a retiring server waits for one more request on each connection that is kept, to say in its answer that the
connection closes. Closing it at once would cut off a request that is just on its way."""
TICK_S = 0.1


class InheritedSocketsServer(_RefreshingServer):
    """uvicorn's server on sockets that it inherits while it runs."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._control = socket.socket(fileno=0)
        self._control.setblocking(False)
        self._retired = False
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # its parent tells what happens
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        assert not sockets
        await super().startup(sockets=[])
        asyncio.get_running_loop().add_reader(self._control, self._receive)

    def _receive(self) -> None:
        data, fds, _, _ = socket.recv_fds(self._control, 1, 1)
        if not data:
            asyncio.get_running_loop().remove_reader(self._control)
            self._retired = self.should_exit = True
            return
        for fd in fds:
            task = asyncio.get_running_loop().create_task(self._listen(socket.socket(fileno=fd)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _listen(self, listener: socket.socket) -> None:
        protocol: Any = self.config.http_protocol_class

        def connection() -> asyncio.Protocol:
            return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(connection, sock=listener, backlog=self.config.backlog))
        self._control.send(b"\n")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._retired:
            await self._say_goodbye()
        await super().shutdown(sockets)

    async def _say_goodbye(self) -> None:
        """Stop accepting, and answer until every connection was told to close or has been idle for too long."""
        for server in self.servers:
            server.close()
        state = self.server_state
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        for _ in range(round(IDLE_S / TICK_S)):
            await asyncio.sleep(TICK_S)  # first, for what was accepted a moment ago is not yet among the connections
            if not state.connections:
                return
