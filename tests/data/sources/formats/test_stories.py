"""TinyStories' text files."""

from lai.data.sources.recognition import recognize


def test_a_line_of_the_separator_ends_a_story(read, counts, tmp_path) -> None:
    data = "\ufeffOnce.\r\n\r\nTwice, ő.\r\n<|endoftext|>\r\n\r\n\r\nB <|endoftext|> b\n<|endoftext|>\n<|endoftext|>\nC"
    expected = [(1, "Once.\n\nTwice, ő."), (7, "B <|endoftext|> b"), (10, "C")]
    assert read("a.txt", data) == expected
    assert counts.empty == 1
    assert not recognize(tmp_path / "a.txt").is_lines


def test_a_separator_inside_lines_leaves_a_document_a_line(read) -> None:
    assert read("a.txt", "a <|endoftext|>\nb<|endoftext|>c\n") == [(1, "a <|endoftext|>"), (2, "b<|endoftext|>c")]
