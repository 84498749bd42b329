"""The address on which a process is to serve."""

import socket

import click


def refuse_taken(variable: str, host: str, port: int) -> None:
    """End with wrong use when this process cannot listen there, before a library fails on it."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise click.UsageError(f"{variable}: cannot listen on {host}:{port}: {error.strerror}") from None
