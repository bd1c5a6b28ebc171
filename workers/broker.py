"""Whether the broker that is configured is one that we could speak to; nothing is connected to."""

import celery  # by its name: celery imports its parts when they are first used

from indexer.errors import ConfigurationError


def check_broker(url: str) -> None:
    """Raises ConfigurationError where a broker's URL cannot be used, without showing it: it may hold a password."""
    try:
        with celery.Celery(broker=url, set_as_current=False).connection_for_read() as connection:
            _ = connection.transport
    except ImportError as error:
        raise ConfigurationError(
            f"MCP_INDEXER_BROKER_URL names a kind of broker for which a package is missing ({error}); install it, or "
            "use amqp:// or redis://."
        ) from error
    except (ValueError, LookupError, AttributeError, TypeError):
        raise ConfigurationError(
            "MCP_INDEXER_BROKER_URL cannot be used: it is amqp://USER:PASSWORD@HOST// or redis://HOST/0, with / and @ "
            "in a password as %2F and %40; change it or unset it."
        ) from None
