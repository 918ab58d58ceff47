"""Documents are mended, and what was changed is counted."""

import unicodedata
from collections import Counter

import pytest

from lai.data.text.mend import mend_documents, mend_text, swap_pair
from lai.tokenizer.chat import Document, Turn, plain, translation_examples


@pytest.mark.parametrize(
    ("damaged", "text"),
    [
        ("It&apos;s &quot;one&quot; &#337;r &amp; m&#xe1;s", 'It\'s "one" őr & más'),
        ("&amp;amp; &amp;lt;b&amp;gt;", "& <b>"),
        ("R& & D", "R& & D"),
        ("ku\u00adtya a\u200bz ud\ufeffvaron", "kutya az udvaron"),
        ("10\u00a0000\u202fFt", "10 000 Ft"),
        (unicodedata.normalize("NFD", "Őz és űr"), "Őz és űr"),
        ("one\rtwo\u2029three", "one\ntwo\nthree"),
        ("a family \U0001f468\u200d\U0001f469\u200d\U0001f467", "a family \U0001f468\u200d\U0001f469\u200d\U0001f467"),
        ("a\x00b\x7f", "ab"),
    ],
)
def test_each_kind_of_damage_is_mended(damaged: str, text: str) -> None:
    assert mend_text(damaged) == text and mend_text(text) == text


def test_bytes_that_are_no_utf_8_are_read_as_central_european() -> None:
    counts: Counter[str] = Counter()
    assert mend_documents([plain("Az őr ült.".encode("cp1250"))], counts) == [plain("Az őr ült.".encode())]
    assert counts == {"invalid UTF-8": 1}


def test_swapped_and_quoted_pairs_are_mended_in_both_directions() -> None:
    english, hungarian = b"The guard sat in the boiler house.", "Az őr a fűtőházban ült.".encode()
    counts: Counter[str] = Counter()
    right = translation_examples(english, hungarian)
    wrong = translation_examples(hungarian, english)
    assert mend_documents(wrong, counts) == [right[1], right[0]] and counts == {"swapped sides": 2}
    assert tuple(map(swap_pair, wrong)) == (right[1], right[0])
    quoted = translation_examples(b'"The ""guard"" sat."', '"Az „őr” ült."'.encode())
    counts.clear()
    assert mend_documents(quoted, counts) == list(translation_examples(b'The "guard" sat.', "Az „őr” ült.".encode()))
    assert mend_documents(right, counts) == list(right) and counts == {"quoted fields": 2}


QUESTION, ANSWER = Turn("user", b"Hi"), Turn("assistant", b"Yo")


@pytest.mark.parametrize(
    ("text", "document"),
    [
        (r"<|im_start|>user\nHi<|im_end|><|im_start|>assistant\nYo<|im_end|>", (QUESTION, ANSWER)),
        ("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>",
         (Turn("system", b"S"), QUESTION, ANSWER)),
        ("<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nHi [/INST] Yo </s>", (Turn("system", b"S"), QUESTION, ANSWER)),
        ("<s>[INST] Hi [/INST] Yo </s><s>[INST] Hi [/INST] Yo </s>", (QUESTION, ANSWER, QUESTION, ANSWER)),
        ("<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nYo<end_of_turn>", (QUESTION, ANSWER)),
        ("<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nYo",
         (QUESTION, ANSWER)),
        ("### Instruction:\nAdd\n\n### Input:\n1 2\n\n### Response:\n3",
         (Turn("user", b"Add\n1 2"), Turn("assistant", b"3"))),
        ("USER: Hi ASSISTANT: Yo</s>", (QUESTION, ANSWER)),
        ("<s> A wind blew. </s>", plain(b"A wind blew.")),
        ("The end.<|endoftext|>", plain(b"The end.")),
        ("The end.<eos>", plain(b"The end.")),
        ("Press <Enter> or <b>stop</b> [1].", plain(b"Press <Enter> or <b>stop</b> [1].")),
    ],
)  # fmt: skip
def test_other_programs_markup_becomes_turns_or_is_dropped(text: str, document: Document) -> None:
    assert mend_documents([plain(text.encode())], Counter()) == [document]
