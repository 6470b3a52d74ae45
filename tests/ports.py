"""Ports for servers of the tests."""

import socket


def free_port() -> int:
    """A port that nothing listens on, far from those that other servers try in turn."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
