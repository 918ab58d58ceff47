"""The tasks: distributions over documents of clauses, stories and questions, each with its share of all documents."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from lai.data.synthetic import realize_en, realize_hu
from lai.data.synthetic.clauses import LANGUAGES, Clause, Language
from lai.data.synthetic.config import SyntheticConfig
from lai.data.synthetic.constituents import Constituents
from lai.data.synthetic.conversations import (
    Conversations,
    Topic,
    about_facts,
    about_stories,
    about_summaries,
    in_both_languages,
)
from lai.data.synthetic.grammar import Choice, Distribution, joint, mixture
from lai.data.synthetic.lexicon import load_lexicon
from lai.data.synthetic.phrases import phrases, realize_phrase
from lai.data.synthetic.questions import Interview, Question, interviews, questions
from lai.data.synthetic.sentences import Sentences
from lai.data.synthetic.stories import Story, asked_stories, plots_with_stories, stories
from lai.host.errors import UserError
from lai.tokenizer.chat import Document, Turn, plain, translation_examples

_SMALL_TALK = Path(__file__).parent / "texts" / "small_talk.txt"

T = TypeVar("T")

Documents = tuple[Document, ...]
"""The result of one draw: a document, or both directions of a translation."""

# Other requests for a translation than lai.tokenizer.chat's, by target language.
_REQUESTS: dict[Language, tuple[str, ...]] = {
    "hu": ("Fordítsd magyarra: {}", "How do you say this in Hungarian? {}", "Mondd magyarul: {}"),
    "en": ("Fordítsd angolra: {}", "What does this mean in English? {}", "Mondd angolul: {}"),
}
_SUMMARIZE: dict[Language, tuple[str, ...]] = {
    "en": ("Summarize in one sentence: {}", "What is this story about? {}"),
    "hu": ("Foglald össze egy mondatban: {}", "Miről szól ez a történet? {}"),
}
_CONTINUE: dict[Language, tuple[str, ...]] = {
    "en": ("Continue the story: {}", "What happened next? {}"),
    "hu": ("Folytasd a történetet: {}", "Mi történt ezután? {}"),
}


@dataclass(frozen=True)
class Task:
    """Documents of one kind: `count` draws, each of which gives `documents` documents of equal probability."""

    name: str
    draws: Distribution[Documents]
    count: int
    documents: int = 1
    repetitions: int = 1

    @property
    def total(self) -> int:
        """How many documents there will be."""
        return self.count * self.documents * self.repetitions


def turns(user: str, assistant: str) -> Document:
    """A question and its answer."""
    return (Turn("user", user.encode()), Turn("assistant", assistant.encode()))


def realize(clause: Clause, language: Language) -> str:
    """A clause as a sentence of a language."""
    return realize_en.sentence(clause) if language == "en" else realize_hu.sentence(clause)


class Grammar:
    """The grammar of a configuration, over its lexicon."""

    def __init__(self, config: SyntheticConfig) -> None:
        self.constituents = Constituents(load_lexicon(config.lexicon_size), config.held_out, config.detail)
        self.sentences = Sentences(self.constituents, config.chosen_templates)
        self.clauses = self.sentences.clauses()
        self._percent_of_phrases = round(100 * config.phrases)
        self._percent_of_verbs = round(100 * config.phrase_verbs)

    def translations(self, held: bool = False) -> Distribution[Documents]:
        """Both directions of a translation; a held-out one is always of a sentence."""
        clauses = self.sentences.clauses(held=True) if held else self.clauses
        sentences = clauses.map(lambda clause: _translation(clause, realize))
        if held:
            return sentences
        alone = phrases(self.constituents, self.sentences, self._percent_of_verbs)
        of_phrases = alone.map(lambda part: _translation(part, realize_phrase))
        return mixture([(sentences, 100 - self._percent_of_phrases), (of_phrases, self._percent_of_phrases)])

    def questions(self, held: bool = False) -> Distribution[Question]:
        """Questions about two facts."""
        return self.constituents.cached(("questions", held), lambda: questions(self.constituents, self.sentences, held))

    def interviews(self, count: int) -> Distribution[Interview]:
        """Several questions about two facts."""
        return interviews(self.constituents, self.sentences, count)

    def conversations(self, config: SyntheticConfig, held: bool = False) -> Conversations:
        """Conversations about what the settings ask for; with `held`, their translations are of held-out sentences."""
        makers: dict[str, Callable[[], Topic]] = {
            "translate": lambda: [self._asked_translations(held)],
            "question": lambda: about_facts(self.interviews),
            "story_question": lambda: about_stories(plots_with_stories(self.constituents)),
            "summary": lambda: about_summaries(plots_with_stories(self.constituents), _SUMMARIZE),
            "continuation": lambda: [self._asked_continuations()],
            "small_talk": lambda: [small_talk().map(lambda documents: documents[0])],
        }
        topics = [(makers[name](), weight) for name, weight in config.mix.items() if weight]
        return Conversations(topics, config.turns)

    def _asked_translations(self, held: bool) -> Distribution[Document]:
        """Translations in one of their directions; of those that train, a fifth is requested in other words."""
        usual = joint(self.translations(held), Choice([0, 1])).map(lambda drawn: drawn[0][drawn[1]])
        if held:
            return usual

        def request(drawn: tuple[int, Clause], language: Language) -> Document:
            return _request(language, (_REQUESTS[language][drawn[0]], drawn[1]))[0]

        wordings = Choice(range(len(_REQUESTS["en"])))
        others = in_both_languages(joint(wordings, self.clauses), request)
        return mixture([(usual, 4), (others, 1)])

    def _asked_continuations(self) -> Distribution[Document]:
        def request(drawn: tuple[int, Story], language: Language) -> Document:
            return _continuation(language, (_CONTINUE[language][drawn[0]], drawn[1]))[0]

        told = mixture([(story, 1) for _, story in plots_with_stories(self.constituents)])
        return in_both_languages(joint(Choice(range(len(_CONTINUE["en"]))), told), request)


def tasks(config: SyntheticConfig) -> list[Task]:
    """All tasks of a configuration that have documents.

    Raises:
        UserError: stories are requested, but the lexicon lacks the words for any.
    """
    grammar = Grammar(config)
    plots = stories(grammar.constituents)
    if plots is None and config.needs_stories:
        raise UserError(
            f"lexicon: {grammar.constituents.lexicon.size} words do not fill any story; "
            "take more words, or stories=0 and an instruction_mix without summary, continuation and story_question"
        )
    task_list = [
        Task("translation", grammar.translations(), config.translations, 2, config.repetitions),
        Task("small_talk", small_talk(), 2 * config.instruction_count("small_talk")),
    ]
    for language in LANGUAGES:
        task_list += _in_one_language(config, grammar, plots, language)
    if config.conversations:
        conversations: Distribution[Documents] = grammar.conversations(config).all().map(lambda document: (document,))
        task_list.append(Task("conversation", conversations, config.conversations))
    return [task for task in task_list if task.count]


def _in_one_language(
    config: SyntheticConfig, grammar: Grammar, plots: Distribution[Story] | None, language: Language
) -> list[Task]:
    clauses = grammar.clauses

    def half(count: int) -> int:
        return count // 2 if language == "hu" else count - count // 2

    def instruction(name: str, draws: Distribution[Documents]) -> Task:
        return Task(name, draws, config.instruction_count(name))

    task_list = [
        Task(
            "sentence", clauses.map(lambda clause: (plain(realize(clause, language).encode()),)), half(config.sentences)
        ),
        instruction("translate", joint(Choice(_REQUESTS[language]), clauses).map(partial(_request, language))),
        instruction("question", grammar.questions().map(partial(_question, language))),
    ]
    if plots is None:
        return task_list
    return [
        *task_list,
        Task("story", plots.map(lambda story: (plain(_text(story, language).encode()),)), half(config.stories)),
        instruction("summary", joint(Choice(_SUMMARIZE[language]), plots).map(partial(_summary, language))),
        instruction("continuation", joint(Choice(_CONTINUE[language]), plots).map(partial(_continuation, language))),
        instruction("story_question", asked_stories(grammar.constituents).map(partial(_story_question, language))),
    ]


def small_talk() -> Distribution[Documents]:
    """Greetings and the like, in both languages; each has one answer."""
    rows = [line.split(" | ") for line in _SMALL_TALK.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    return Choice([(turns(user, assistant),) for _, user, assistant in rows], [int(weight) for weight, *_ in rows])


def _translation(what: T, speak: Callable[[T, Language], str]) -> Documents:
    return translation_examples(speak(what, "en").encode(), speak(what, "hu").encode())


def _request(language: Language, drawn: tuple[str, Clause]) -> Documents:
    request, clause = drawn
    source, target = realize(clause, "en"), realize(clause, "hu")
    if language == "en":
        source, target = target, source
    return (turns(request.format(source), target),)


def _question(language: Language, question: Question) -> Documents:
    return (turns(question.prompt(language), question.answer(language)),)


def _text(story: Story, language: Language) -> str:
    return " ".join(story.sentences(language))


def _summary(language: Language, drawn: tuple[str, Story]) -> Documents:
    request, story = drawn
    return (turns(request.format(_text(story, language)), story.realize(story.plot.summary, language)),)


def _continuation(language: Language, drawn: tuple[str, Story]) -> Documents:
    request, story = drawn
    sentences = story.sentences(language)
    return (turns(request.format(" ".join(sentences[:2])), " ".join(sentences[2:])),)


def _story_question(language: Language, drawn: tuple[Story, int]) -> Documents:
    story, number = drawn
    question, answer = story.plot.questions[number]
    prompt = f"{_text(story, language)} {story.realize(question, language)}"
    return (turns(prompt, story.realize(answer, language)),)
