"""What is printed arrives as UTF-8 in pipes."""

from processes import WINDOWS_ENCODINGS, python


def test_hungarian_text_is_printed_to_a_pipe_as_utf_8_whatever_the_locale():
    done = python(
        "-c",
        "from lai.host.console import prepare_output; prepare_output(); print('f\\u0151 \\u00fat')",
        text=False,
        **WINDOWS_ENCODINGS,
    )
    assert done.stdout.decode("utf-8").split() == ["fő", "út"], done.stderr
