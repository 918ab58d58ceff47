"""The generated text, against hunspell's dictionaries and the rules of agreement."""

import random
import re
import shutil
import subprocess
from collections.abc import Iterable

import pytest

from lai.data.synthetic import SyntheticConfig, generate
from lai.data.synthetic.clauses import LANGUAGES, Action, Clause, Language
from lai.data.synthetic.lexicon import Noun, load_lexicon
from lai.data.synthetic.phrases import phrases, realize_phrase
from lai.data.synthetic.stories import stories
from lai.data.synthetic.tasks import Grammar, realize

WORD = re.compile(r"[^\W\d_]+")

DICTIONARIES: dict[Language, str] = {"en": "en_US", "hu": "hu_HU"}


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return Grammar(SyntheticConfig())


@pytest.fixture(scope="module")
def clauses(grammar: Grammar) -> list[Clause]:
    source = random.Random(4).random
    return [grammar.clauses.sample(source)[0] for _ in range(20000)]


def unknown_words(texts: Iterable[str], language: Language) -> set[str]:
    """The words that the language's dictionary does not know, names of people and places aside in English."""
    if shutil.which("hunspell") is None:
        pytest.skip("hunspell is not installed (Debian: hunspell hunspell-hu hunspell-en-us)")
    words = {word for text in texts for word in WORD.findall(text)}
    if language == "en":
        words -= {name.english for name in load_lexicon().names} | {place.english for place in load_lexicon().places}
    command = ["hunspell", "-i", "utf-8", "-d", DICTIONARIES[language], "-l"]
    checked = subprocess.run(command, input="\n".join(sorted(words)).encode(), capture_output=True, check=False)
    if b"Can't open" in checked.stderr:
        pytest.skip(f"hunspell has no {DICTIONARIES[language]} dictionary")
    assert checked.returncode == 0, checked.stderr
    return set(checked.stdout.decode().split())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_20000_sentences_is_known(clauses: list[Clause], language: Language) -> None:
    assert unknown_words((realize(clause, language) for clause in clauses), language) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_parts_of_sentences_is_known(grammar: Grammar, language: Language) -> None:
    all_phrases, source = phrases(grammar.constituents, grammar.sentences, 50), random.Random(6).random
    texts = [realize_phrase(all_phrases.sample(source)[0], language) for _ in range(10000)]
    assert unknown_words(texts, language) == set()
    # The article goes with the next sound: az alma, a kutya; an apple, a dog.
    wrong = r"\b(?:a [aáeéiíoóöőuúüű]|az [^aáeéiíoóöőuúüű])" if language == "hu" else r"\b(?:a [aeio]|an [^aeiouh])"
    assert not [text for text in texts if re.search(wrong, text)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_stories_and_their_questions_is_known(grammar: Grammar, language: Language) -> None:
    plots, source = stories(grammar.constituents), random.Random(5).random
    assert plots
    texts: list[str] = []
    for _ in range(3000):
        story, _ = plots.sample(source)
        said = [story.plot.summary, *(wording for pair in story.plot.questions for wording in pair)]
        texts += [*story.sentences(language), *(story.realize(wording, language) for wording in said)]
    assert unknown_words(texts, language) == set()


def test_every_word_of_20000_documents_is_known_in_one_of_the_languages() -> None:
    config = SyntheticConfig(sentences=6000, stories=4000, translations=3000, instructions=2000, seed=9)
    documents = [example.document for example in generate(config)]
    assert len(documents) == 20000
    texts = [turn.content.decode() for document in documents for turn in document]
    assert unknown_words(texts, "en") & unknown_words(texts, "hu") - {"LAi"} == set()


def test_the_hunspell_check_can_fail() -> None:
    assert unknown_words(["Anna látja a lovet és az almakat."], "hu") == {"lovet", "almakat"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_articles_agree_with_the_next_sound(clauses: list[Clause], language: Language) -> None:
    text = " ".join(realize(clause, language) for clause in clauses)
    if language == "hu":
        assert re.findall(r"\b[Aa] [aáeéiíoóöőuúüűAÁEÉIÍOÓÖŐUÚÜŰ]\w*", text) == []
        assert re.findall(r"\b[Aa]z [^aáeéiíoóöőuúüűAÁEÉIÍOÓÖŐUÚÜŰ]\w*", text) == []
    else:
        assert set(re.findall(r"\b[Aa] [aeiouAEIOU]\w*", text)) <= {"a useful", "A useful", "a university"}
        assert set(re.findall(r"\b[Aa]n [^aeiouAEIOU]\w*", text)) <= {"an honest", "An honest"}


def test_no_article_stands_before_names_and_numbers(clauses: list[Clause]) -> None:
    names = "|".join(name.english for name in load_lexicon().names)
    cities = "|".join(place.hungarian.lemma for place in load_lexicon().places if place.kind == "city")
    numbers = "|".join(number.hungarian for number in load_lexicon().numbers)
    english = " ".join(realize(clause, "en") for clause in clauses)
    hungarian = " ".join(realize(clause, "hu") for clause in clauses)
    assert re.findall(rf"\b(?:the|an?) (?:{names})\b", english, re.IGNORECASE) == []
    assert re.findall(rf"\b(?:az?|egy) (?:{names}|{cities})", hungarian) == []
    assert re.findall(rf"\begy (?:{numbers}) ", hungarian) == []


def test_nouns_are_singular_after_numbers_in_hungarian_and_plural_in_english(clauses: list[Clause]) -> None:
    seen = 0
    for clause in clauses:
        if isinstance(clause, Action) and clause.object and clause.object.number:
            noun = clause.object.head
            assert isinstance(noun, Noun)
            assert f"{noun.english_plural}" in realize(clause, "en")
            assert f" {noun.hungarian.accusative}" in realize(clause, "hu")
            assert noun.hungarian.plural_accusative not in realize(clause, "hu")
            seen += 1
    assert seen > 200


def test_nobody_has_a_profession_of_the_other_sex(clauses: list[Clause]) -> None:
    pronouns = {name.english: name.pronoun for name in load_lexicon().names}
    found = re.findall(
        r"^(\w+) (?:is|was)(?: not)? a (girl|woman|queen|princess|grandmother|boy|man|king|prince|grandfather)\.$",
        "\n".join(realize(clause, "en") for clause in clauses),
        re.MULTILINE,
    )
    women = {"girl", "woman", "queen", "princess", "grandmother"}
    assert len(found) > 20
    assert all(pronouns[name] == ("she" if noun in women else "he") for name, noun in found)
