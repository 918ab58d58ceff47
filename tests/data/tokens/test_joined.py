"""Several token files read as one."""

import pickle
from pathlib import Path

import numpy as np
from toy_tokens import every_target, token_file

from lai.data.tokens.joined import JoinedTokens


def joined(tmp_path: Path) -> tuple[JoinedTokens, list[int]]:
    files = [token_file(tmp_path / f"{number}.bin", sizes) for number, sizes in enumerate(([3, 4], [5], [2, 2, 9]))]
    return JoinedTokens(files), [
        token for file in files for i in range(len(file)) for token in file.document(i).tolist()
    ]


def test_documents_follow_each_other_as_in_one_file(tmp_path: Path) -> None:
    tokens, expected = joined(tmp_path)
    assert len(tokens) == 6
    assert tokens.offsets.tolist() == [0, 3, 7, 12, 14, 16, 25]
    assert [token for index in range(6) for token in tokens.document(index).tolist()] == expected
    assert every_target(tokens) == [expected[i] for i in range(25) if i not in (0, 3, 7, 12, 14, 16)]


def test_stretches_of_several_files_are_read_in_their_order(tmp_path: Path) -> None:
    tokens, expected = joined(tmp_path)
    starts, sizes = np.array([13, 0, 1, 8, 20, 22]), np.array([1, 2, 2, 4, 2, 3])
    wanted = [expected[start + n] for start, size in zip(starts, sizes, strict=True) for n in range(size)]
    found = tokens.read(starts, sizes)
    assert found.tolist() == wanted
    assert found.dtype == tokens.dtype == "uint32"
    nothing = np.zeros(0, np.int64)
    assert tokens.read(nothing, nothing).tolist() == []


def test_a_worker_gets_the_paths_and_opens_the_files_itself(tmp_path: Path) -> None:
    tokens, expected = joined(tmp_path)
    tokens.document(5)
    sent = pickle.dumps(tokens)
    assert len(sent) < 1000
    assert pickle.loads(sent).document(0).tolist() == expected[:3]


def test_the_digest_tells_other_tokens_and_another_order(tmp_path: Path) -> None:
    tokens, _ = joined(tmp_path)
    digest = tokens.digest()
    assert JoinedTokens(tokens.files).digest() == digest
    assert JoinedTokens(tokens.files[::-1]).digest() != digest
