"""The pages of oauth2-proxy and Dex in front of Kubeflow, as a browser without a session meets them."""

from urllib.parse import parse_qs, quote, urlsplit

from harness.loopback import Reply

USER, PASSWORD = "robot@example.org", "s3cret-dex-passw0rd"


def page(status: int, content: str = "<html>a page</html>", **headers: str) -> Reply:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, content, {"Content-Type": "text/html", **headers})


class Dex:
    """approval: a page asks whether the login is wanted. sign_in_page: oauth2-proxy shows its own page first (403)."""

    def __init__(self, *, approval: bool = True, sign_in_page: bool = False) -> None:
        self.approval, self.sign_in_page = approval, sign_in_page
        self.sessions: set[str] = set()
        self.logins = 0

    def page(self, method: str, path: str, raw: bytes, cookie: str) -> Reply | None:
        """What is shown in place of the API; None for a request of a session."""
        place = urlsplit(path)
        form = {name: values[0] for name, values in parse_qs(raw.decode(errors="replace")).items()}
        if place.path == "/oauth2/start":
            return self._to("/dex/auth?state=" + quote(parse_qs(place.query)["rd"][0]))
        if place.path == "/dex/auth":
            return page(200, "<html>choose how to log in</html>")
        if place.path == "/dex/auth/local":
            return self._to(f"/dex/auth/local/login?{place.query}")
        if place.path == "/dex/auth/local/login":
            if method == "GET" or form != {"login": USER, "password": PASSWORD}:
                return page(200, "<html>user and password</html>")
            return self._to(f"/dex/approval?{place.query}" if self.approval else f"/oauth2/callback?{place.query}")
        if place.path == "/dex/approval":
            granted = method == "POST" and form == {"approval": "approve"}
            return self._to(f"/oauth2/callback?{place.query}") if granted else page(200)
        if place.path == "/oauth2/callback":
            self.logins += 1
            session = f"session-{self.logins}"
            self.sessions.add(session)
            back = parse_qs(place.query)["state"][0]
            return page(303, Location=back, Set_Cookie=f"oauth2_proxy_kubeflow={session}; Path=/")
        if any(f"oauth2_proxy_kubeflow={session}" in cookie for session in self.sessions):
            return None if "/apis/" in place.path else page(200)
        return page(403) if self.sign_in_page else self._to("/oauth2/start?rd=" + quote(place.path))

    def _to(self, where: str) -> Reply:
        return page(303, Location=where)
