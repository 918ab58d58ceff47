"""The progress bar of preparing data."""

from lai.host.progress import progress


def test_the_bar_of_preparing_data_writes_nothing_where_there_is_no_terminal(capsys):
    with progress("building", 3) as show:
        show(3)
    assert capsys.readouterr() == ("", "")
