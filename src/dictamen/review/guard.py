"""What every request must pass: the right host, the right origin, the token. And what every answer carries."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

COOKIE = "dictamen_token"
TOKEN_BYTES = 32
SAFE_METHODS = frozenset({"GET", "HEAD"})
HEADERS = {
    # nothing but our own files; no inline script, no inline style, no frame, no form target
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Next = Callable[[Request], Awaitable[Response]]


def new_token() -> str:
    """A token that can't be guessed."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class Guard:
    """Middleware of the review server.

    A page of another site can't use the server: its requests have another Origin, and a name that was made to point
    here (DNS rebinding) is no allowed Host. Other users of the machine don't have the token, which the start page takes
    from its address once and keeps in a cookie.

    Args:
        token: of `new_token`.
        port: of the server.
    """

    def __init__(self, token: str, port: int) -> None:
        self._token = token
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})

    async def __call__(self, request: Request, call_next: Next) -> Response:
        """Answer, or refuse."""
        response = self._refusal(request) or self._entrance(request) or await call_next(request)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("host") not in self._hosts:
            return PlainTextResponse("This address is not served here.", status_code=421)
        origin = request.headers.get("origin")
        own = {f"http://{host}" for host in self._hosts}
        if (origin is not None and origin not in own) or (origin is None and request.method not in SAFE_METHODS):
            return PlainTextResponse("Requests of other sites are refused.", status_code=403)
        given = request.query_params.get("token") if request.url.path == "/" else None
        given = given or request.cookies.get(COOKIE) or ""
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return PlainTextResponse(
                "The token is missing or wrong: open the address that `dictamen review` printed.", status_code=401
            )
        return None

    def _entrance(self, request: Request) -> Response | None:
        """Move the token from the address into a cookie, so that it stays in no history."""
        if request.url.path != "/" or "token" not in request.query_params:
            return None
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
        return response
