"""A broker's URL, checked before anything is connected to."""

import pytest

from indexer.errors import ConfigurationError
from workers.broker import check_broker
from workers.settings import EMBEDDED_BROKER


@pytest.mark.parametrize("url", ["amqp://u:p@h.example//", "redis://h.example:6379/0", "memory://", EMBEDDED_BROKER])
def test_a_broker_that_can_be_spoken_to_is_taken_without_asking_it(url: str) -> None:
    check_broker(url)


@pytest.mark.parametrize("url", ["nonsense://h/", "amqp://u:sekret@h:port//", "amqp://u:se/kret@h//"])
def test_a_url_that_cannot_be_used_is_one_sentence_that_does_not_show_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^MCP_INDEXER_BROKER_URL cannot be used: .*unset it\.$") as refused:
        check_broker(url)
    assert "ekret" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_kind_whose_package_is_missing_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"a package is missing.*botocore.*install it"):
        check_broker("sqs://")
