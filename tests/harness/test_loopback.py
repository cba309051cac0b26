"""What the loopback server says of its clients and of itself."""

import socket

import httpx
import pytest
from harness.loopback import LoopbackServer, Reply


def test_a_client_that_leaves_in_the_middle_of_its_request_is_neither_answered_nor_a_mistake():
    with LoopbackServer(lambda request: Reply(200, {"length": len(request.body)})) as server:
        with socket.create_connection(("127.0.0.1", server.server_port)) as client:
            client.sendall(b"POST /v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b""
        assert httpx.post(server.url, content=b"whole").json() == {"length": 5}
        assert [request.body for request in server.log] == [b"whole"]


def test_a_mistake_of_the_server_fails_the_test():
    def answer(request: object) -> Reply:
        raise KeyError("model")

    with (
        pytest.raises(AssertionError, match="KeyError"),
        LoopbackServer(answer) as server,
        socket.create_connection(("127.0.0.1", server.server_port)) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(100) == b""
