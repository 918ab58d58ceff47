"""Conversations of several prompts: the engine's token ids are those of Python."""

import json
from pathlib import Path

import pytest

from lai.data.tokens.token_file import encode_documents
from lai.inference.conversation import CONTEXT_IS_FULL, Conversation, turns_note
from lai.inference.sampling import Sampling, generate, new_sampler, stop_ids
from lai.tokenizer.chat import Turn

TEXTS = ["hello", "the world", "a <user> in the text", "ház", "hello", "the end"]


def ask_the_engine(engine, *arguments, texts=TEXTS):
    """The object of each turn, and what is said on standard error."""
    prompts = [part for text in texts for part in ("-p", text)]
    done = engine.run(*arguments, *prompts, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode().splitlines()


@pytest.mark.parametrize("turns", [0, 1, 3, 8])
@pytest.mark.parametrize("context", [64, 256])
@pytest.mark.parametrize("system", [None, "Be <user> good."])
def test_prompts_answers_and_notes_are_those_of_python(engine, make_model, turns, context, system):
    path, model = make_model(turns=turns, max_seq_len=context)
    arguments = ["-m", path, "--tokens", "7", "--seed", "5", *(["--system", system] if system else [])]
    found, said = ask_the_engine(engine, *arguments)
    network = model.build()
    chat = Conversation(model.vocab, context, model.training, 7, system.encode() if system else None)
    sampler, notes = new_sampler(Sampling(), 5), []
    for text, turn in zip(TEXTS, found, strict=True):
        prompt, told = chat.ask(text.encode())
        notes += told
        ids = list(generate(network, prompt, stop=stop_ids(model.vocab, raw=False), tokens=7, sampler=sampler))
        chat.answered(ids)
        assert (turn["prompt_ids"], turn["ids"]) == (prompt, ids)
    assert said == [f"note: {note}" for note in notes]
    if turns < 2 or context == 256:
        assert notes == ([turns_note(turns)] if turns < 8 else [])
    elif turns == 8:
        assert set(notes) == {CONTEXT_IS_FULL}


@pytest.mark.parametrize(("unfolded", "system"), [(False, b"A <user>"), (True, b"A  <user>")])
def test_a_conversation_has_the_ids_of_a_training_document(engine, make_model, unfolded, system):
    path, model = make_model(turns=8, unfolded=unfolded)
    arguments = ("-m", path, "--tokens", "0", "--temp", "0", "--system", "A  <user>")
    found, _ = ask_the_engine(engine, *arguments, texts=TEXTS[:3])  # each answer is empty
    document = [Turn("system", system)]
    for text, turn in zip(TEXTS, found, strict=False):
        document += [Turn("user", text.encode()), Turn("assistant", b"")]
        expected, _ = encode_documents([tuple(document)], model.vocab)
        assert turn["prompt_ids"] == expected.tolist()[:-2]  # without the answer's end and <eos>


def test_the_second_question_of_a_model_of_single_questions_is_answered_as_if_asked_alone(engine, make_model):
    path, _ = make_model(turns=1)
    arguments = ("-m", path, "--tokens", "9", "--temp", "0")
    both, said = ask_the_engine(engine, *arguments, texts=["hello", "the world"])
    alone, _ = ask_the_engine(engine, *arguments, texts=["the world"])
    assert both[1]["prompt_ids"] == alone[0]["prompt_ids"] and both[1]["ids"] == alone[0]["ids"]
    assert said == ["note: the training text has one question a document: each question is answered alone"]


def test_shared_cases_of_two_turns_come_out_as_if_asked_alone(engine, make_model):
    cases = Path(__file__).parents[2].parent / "shared" / "cases" / "two_turns.jsonl"
    if not cases.is_file():
        pytest.skip("there is no folder of cases (shared/cases) beside the checkout")
    arguments = ("-m", make_model()[0], "--tokens", "9", "--temp", "0")
    for line in cases.read_text(encoding="utf-8").splitlines():
        texts = json.loads(line)["turns"]
        found, _ = ask_the_engine(engine, *arguments, texts=texts)
        alone = [ask_the_engine(engine, *arguments, texts=[text])[0][0] for text in texts]
        assert [turn["text"] for turn in found] == [turn["text"] for turn in alone]
