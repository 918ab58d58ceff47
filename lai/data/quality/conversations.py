"""The task that a document trains, and conversations that are incomplete."""

from dataclasses import dataclass
from pathlib import Path

from lai.data.sources.kinds import kind_of
from lai.tokenizer.chat import TO_ENGLISH, TO_HUNGARIAN, Document, is_whole

_NEXT_ROLE = {"system": "user", "user": "assistant"}


def task_of(document: Document) -> str:
    """The task of a document: plain, translation, question, instruction or conversation; else incomplete."""
    if document[0].role == "text":
        return "plain"
    if not is_whole(document):
        return "incomplete"
    questions = [turn.content for turn in document if turn.role == "user"]
    return "conversation" if len(questions) != 1 else task_of_question(questions[0])


def task_of_question(question: bytes) -> str:
    """The task of one question and its answer: a translation, a question or another instruction."""
    if question.startswith((TO_ENGLISH, TO_HUNGARIAN)):
        return "translation"
    return "question" if question.rstrip().endswith(b"?") else "instruction"


@dataclass
class IncompleteConversation:
    """A conversation that does not end with the assistant's turn, or lacks a turn."""

    file: Path
    number: int  # of the document, among those of all files
    where: str
    ends: Document  # its first turn and its last
    continues: bool = False  # on the next line, or from the one before

    def is_continued_by(self, other: "IncompleteConversation") -> bool:
        """Whether the other one is the next line of the same file and has the role that should come next."""
        beside = self.file == other.file and kind_of(self.file) == ".txt" and self.number + 1 == other.number
        return beside and _NEXT_ROLE.get(self.ends[-1].role) == other.ends[0].role
