"""Prompts with their right answers."""

from lai.data.synthetic import Prompt

PROMPTS = [
    Prompt("translation", "en-hu", b"Translate to Hungarian: the dog", b"a kutya"),
    Prompt("translation", "hu-en", "Translate to English: a ló".encode(), b"the horse"),
    Prompt("translation", "en-hu", b"Translate to Hungarian: the cat", b"a macska"),
    Prompt("question", "hu", b"Ki fut?", "A ló.".encode()),
]


LONG = [Prompt(prompt.task, prompt.direction, prompt.prompt, b"x" * 99) for prompt in PROMPTS]
