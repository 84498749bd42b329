"""Why Kafka does not serve us, in words that hold no secret.

aiokafka tells its callers only that no broker could be used, and its log the reason.
"""

import ssl

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError

from config.settings import Settings

AWAY = "cannot be reached"
_CONNECT_MS = 5000


async def kafka_problem(settings: Settings, error: Exception) -> str:
    """What a `KafkaError` or `OSError` of a client means; one that could not connect at all is looked into."""
    if not isinstance(error, KafkaConnectionError):
        return _words(error)
    problems = [await _refusal(settings, host, port) for host, port, _ in collect_hosts(settings.kafka)]
    return next((problem for problem in problems if problem != AWAY), AWAY)


async def _refusal(settings: Settings, host: str, port: int) -> str:
    args = settings.kafka_client_args()
    del args["bootstrap_servers"]
    try:
        connection = await create_conn(host, port, request_timeout_ms=_CONNECT_MS, **args)
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is refused, {error.verify_message}"
    except ssl.SSLError as error:
        return f"no TLS with it, {error.reason}"
    except KafkaConnectionError:
        return "it ends the connection; do LOANROUTER_KAFKA_SECURITY_PROTOCOL and our certificate suit it?"
    except KafkaError as error:
        return _words(error)
    except OSError:
        return AWAY
    connection.close()
    return AWAY


def _words(error: Exception) -> str:
    if not isinstance(error, KafkaError):
        return str(error)
    told = error.args[0] if error.args else None
    return told if isinstance(told, str) else f"{error.description or type(error).__name__}"
