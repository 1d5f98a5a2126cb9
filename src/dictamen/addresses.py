"""Where data may go: addresses of this machine and of private networks, unless the user says otherwise."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from dictamen.errors import UsageError


def check_private(url: str, *, what: str, schemes: tuple[str, ...], example: str, allow_remote: bool = False) -> None:
    """Refuse an address outside this machine and private networks.

    Args:
        url: scheme://host:port...
        what: whose address it is, for the message.
        schemes: those allowed.
        example: a right address, for the message.
        allow_remote: allow public addresses too.

    Raises:
        UsageError: another scheme, no host, an unknown host, or a public one without `allow_remote`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in schemes:
        raise UsageError(f"The address of the {what} is wrong.", got=url, expected=example)
    if allow_remote:
        return
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, port or 80)}
    except OSError:
        raise UsageError(f"The host of the {what} is unknown.", got=host) from None
    addresses = [ipaddress.ip_address(str(address).split("%")[0]) for address in found]
    if not all(address.is_loopback or address.is_private for address in addresses):
        raise UsageError(
            "Reports would leave this network.",
            got=host,
            expected="an address of this machine or a private one",
            next_step="give --allow-remote if the reports may go there",
        )
