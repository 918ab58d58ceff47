"""Which known data sets are fetched, and how much of each."""

import pytest

from lai.data.prepare import prepare_corpus
from lai.host.errors import UserError


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.hub.split=validation"], "data.hub.split is for a data set of your own"),
        (["data.hub.streaming=false"], "data.hub.streaming is for a data set of your own"),
        (["data.hub.name=org/set", "data.hub.rows={hu_wiki: 7}"], "data.hub.rows is for the known data sets"),
    ],
)
def test_settings_of_the_other_kind_are_refused(compose_run, overrides: list[str], message: str) -> None:
    run = compose_run("data=hub", *overrides)
    with pytest.raises(UserError, match=message):
        prepare_corpus(run.data)
