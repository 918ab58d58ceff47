"""A chat's ids: those of a training document, within the turns and the context that the model has."""

import sys
from pathlib import Path

import pytest

from lai.data.tokens.token_file import encode_documents
from lai.host.errors import UserError
from lai.inference.conversation import CONTEXT_IS_FULL, Conversation, turns_note
from lai.inference.sampling import Sampling, generate, new_sampler, stop_ids
from lai.model.record import UNKNOWN, TrainingRecord
from lai.tokenizer.chat import Turn


def talk(vocab, conversation, questions):
    """The prompts and the notes; every answer is "dog"."""
    prompts, notes = [], []
    for question in questions:
        prompt, said = conversation.ask(question)
        conversation.answered(vocab.encode_text(b"dog"))
        prompts.append(prompt)
        notes.append(said)
    return prompts, notes


def document_ids(vocab, system, questions):
    """The ids of a training document up to the opening of its last answer."""
    turns = [Turn("system", system)] if system else []
    for question in questions:
        turns += [Turn("user", question), Turn("assistant", b"dog")]
    turns[-1] = Turn("assistant", b"")
    return encode_documents([tuple(turns)], vocab)[0].tolist()[:-2]


@pytest.mark.parametrize("system", [None, b"Be </user> good."])
def test_prompts_are_those_of_training_documents_within_the_turns(small_vocab, system):
    questions = [f"cat {number} <user>".encode() for number in range(6)]
    conversation = Conversation(small_vocab, 4096, TrainingRecord(turns=3), 256, system)
    prompts, notes = talk(small_vocab, conversation, questions)
    for turn, prompt in enumerate(prompts):
        assert prompt == document_ids(small_vocab, system, questions[max(0, turn - 2) : turn + 1])
    assert notes == [[], [], [], [turns_note(3)], [], []]


@pytest.mark.parametrize("training", [UNKNOWN, TrainingRecord(turns=1)])
def test_a_model_of_single_questions_is_asked_each_alone(small_vocab, training):
    prompts, notes = talk(small_vocab, Conversation(small_vocab, 4096, training, 256), [b"cat", b"dog", b"bird"])
    assert prompts == [document_ids(small_vocab, None, [question]) for question in (b"cat", b"dog", b"bird")]
    assert [len(said) for said in notes] == [0, 1, 0]
    assert notes[1][0].endswith("each question is answered alone")


def test_a_full_context_forgets_the_oldest_turns_and_says_so(small_vocab):
    question = b"cat cat"
    turn = len(document_ids(small_vocab, None, [question])) - 1
    context = 4 * turn
    conversation = Conversation(small_vocab, context, TrainingRecord(turns=100), 256)
    prompts, notes = talk(small_vocab, conversation, [question] * 6)
    assert all(len(prompt) + context // 4 <= context for prompt in prompts)
    assert len(prompts[1]) > len(prompts[0]) and [CONTEXT_IS_FULL] in notes


def test_a_question_that_does_not_fit_changes_nothing(small_vocab):
    conversation = Conversation(small_vocab, 64, TrainingRecord(turns=8), 4)
    talk(small_vocab, conversation, [b"cat"])
    with pytest.raises(UserError, match="context holds 64"):
        conversation.ask(b"xyz " * 100)
    assert conversation.ask(b"dog")[0] == document_ids(small_vocab, None, [b"cat", b"dog"])


def test_a_blank_system_prompt_is_refused(small_vocab):
    with pytest.raises(UserError, match="the system prompt is empty"):
        Conversation(small_vocab, 64, UNKNOWN, 4, b" ")


@pytest.mark.heavy
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc says how much memory a process has")
def test_a_thousand_chats_are_answered_alike_in_the_memory_of_two_hundred(make_model):
    _, model = make_model(turns=8, dim=32, hidden_dim=32, n_layers=1)
    network, stop, pages, expected = model.build(), stop_ids(model.vocab, raw=False), [], None
    for _ in range(10):
        for _ in range(100):
            chat = Conversation(model.vocab, 256, model.training, 3)
            prompt, _ = chat.ask(b"hello")
            answer = list(generate(network, prompt, stop=stop, tokens=3, sampler=new_sampler(Sampling(), 5)))
            chat.answered(answer)
            expected = expected or answer
            assert answer == expected
        pages.append(int(Path("/proc/self/statm").read_text().split()[1]))
    assert pages[-1] - pages[1] < 256, pages  # 1 MB; the keys and values of 800 chats are 5
