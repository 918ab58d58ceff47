"""Markup of other programs' chats, and their ends of texts: what it is called, and its way into turns."""

import re

from lai.tokenizer.chat import Document, Role, Turn, is_whole, plain

# The name of a kind, and what it looks like.
_KINDS = {
    "ChatML": r"<\|im_(?:start|end|sep)\|>",
    "Llama 3": r"<\|(?:begin_of_text|end_of_text|start_header_id|end_header_id|eot_id|eom_id|python_tag)\|>",
    "Phi and Zephyr": r"<\|(?:user|assistant|system|end)\|>",
    "Harmony": r"<\|(?:start|message|channel|return|call)\|>",
    "<|endoftext|>": r"<\|endoftext\|>",
    "[INST]": r"\[/?INST\]|<</?SYS>>|\[/?(?:AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]",
    "Gemma": r"<(?:start|end)_of_turn>|<\|?turn\|?>",
    "DeepSeek": "<｜[^｜<>]{2,40}｜>",
    "<s>": r"</?s>(?!\w)",
    "<eos>": r"</?(?:eos|bos|pad|unk|sep|cls|mask|EOS|BOS|PAD|UNK|SEP|CLS|MASK)>|\[(?:CLS|SEP|PAD|MASK|UNK|EOS|BOS)\]",
    "Alpaca": r"(?:^|(?<=\n)|(?<=\\n)|(?<=\u2028))#{2,3} ?(?:Instruction|Response|Input|Human|Assistant|User|System):",
    "Vicuna": r"(?:^|(?<=\n)|(?<=\\n)|(?<=\u2028))(?:USER|Human|User|HUMAN): .*?(?:ASSISTANT|Assistant|Bot|AI):",
    "another program's": r"<\|[A-Za-z0-9_]{2,40}\|>",
}
NAMES = ("ASSISTANT:", "Assistant:")
"""Of the one that answers, in conversations that are marked by names alone."""
_DIALOGUES = {"Alpaca": "##"}
_SIGN_NAMES = tuple(name for name in _KINDS if name not in (*_DIALOGUES, "Vicuna"))
_NAMED_SIGNS = re.compile("|".join(f"({_KINDS[name]})" for name in _SIGN_NAMES))
_SIGNS = re.compile("|".join(_KINDS[name] for name in _SIGN_NAMES))
_BEGINS = re.compile(r"[<\[]")

_BREAK = r"(?:\s|\\n|\u2028)*"
_ROLES: dict[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "instruction": "user", "input": "user",
    "assistant": "assistant", "model": "assistant", "gpt": "assistant", "response": "assistant", "bot": "assistant",
    "ai": "assistant",
}  # fmt: skip
_ROLE = "|".join(_ROLES)
# Where a turn begins, with its role; what follows up to the next beginning or end is what is said.
_HEADS = re.compile(
    rf"<\|im_start\|>{_BREAK}(?P<chatml>{_ROLE})\b{_BREAK}"
    rf"|<\|start_header_id\|>{_BREAK}(?P<llama>{_ROLE}){_BREAK}<\|end_header_id\|>{_BREAK}"
    rf"|<\|(?P<phi>{_ROLE})\|>{_BREAK}"
    rf"|<\|start\|>(?P<harmony>{_ROLE})(?:<\|channel\|>\w+)?<\|message\|>"
    rf"|<start_of_turn>(?P<gemma>{_ROLE}){_BREAK}"
    rf"|<｜(?P<deepseek>{_ROLE})｜>"
    rf"|(?:(?<=\n)|(?<=\\n)|(?<=\u2028)|(?<![^\s])|^)#{{2,3}} ?(?P<alpaca>{_ROLE}):{_BREAK}"
    rf"|(?:(?<=\n)|(?<=\\n)|(?<=\u2028)|(?<=</s>)|(?<=\s)|^)(?P<vicuna>USER|ASSISTANT|Human|User|Assistant|HUMAN|Bot|AI):{_BREAK}",
    re.IGNORECASE,
)
_INST = re.compile(
    rf"(?:<s>)?{_BREAK}\[INST\]{_BREAK}(?:<<SYS>>(?P<system>.*?)<</SYS>>)?(?P<user>.*?)\[/INST\](?P<assistant>.*?)(?=<s>|\[INST\]|$)",
    re.DOTALL,
)
_STRIP = " \t\n\r\u2028"


def markup_names(text: str) -> list[str]:
    """The kinds of other programs' markup in a text, each once."""
    found = [
        _SIGN_NAMES[match.lastindex - 1]
        for start in _BEGINS.finditer(text)
        if (match := _NAMED_SIGNS.match(text, start.start())) and match.lastindex
    ]
    for name, sign in _DIALOGUES.items():
        if sign in text and re.search(_KINDS[name], text, re.DOTALL):
            found.append(name)
    if any(name in text for name in NAMES) and re.search(_KINDS["Vicuna"], text, re.DOTALL):
        found.append("Vicuna")
    return list(dict.fromkeys(found))


def without_signs(text: str) -> str:
    """The text without single signs such as `<s>` and `<|endoftext|>`."""
    return _strip(_SIGNS.sub(" ", text)) if _SIGNS.search(text) else text


def to_document(text: str) -> Document | None:
    """The conversation that a text in another program's markup is; None if it is none, or has no whole turns."""
    turns = _inst_turns(text) if "[INST]" in text else _headed_turns(text)
    document = tuple(Turn(role, said.encode("utf-8", "surrogatepass")) for role, said in turns)
    if document and is_whole(document) and all(turn.content for turn in document):
        return document
    return None


def mend_markup(text: str) -> Document | None:
    """The document of a text with other programs' markup; None where it has none."""
    if not markup_names(text):
        return None
    return to_document(text) or plain(without_signs(text).encode("utf-8", "surrogatepass"))


def _headed_turns(text: str) -> list[tuple[Role, str]]:
    heads = list(_HEADS.finditer(text))
    if not heads or _strip(_SIGNS.sub("", text[: heads[0].start()])):
        return []
    ends = [head.start() for head in heads[1:]] + [len(text)]
    turns: list[tuple[Role, str]] = []
    for head, end in zip(heads, ends, strict=True):
        role = _ROLES[next(name for name in head.groupdict().values() if name).lower()]
        said = _strip(without_signs(text[head.end() : end]))
        if turns and turns[-1][0] == role == "user":  # an instruction and its input
            turns[-1] = (role, f"{turns[-1][1]}\n{said}" if said else turns[-1][1])
        else:
            turns.append((role, said))
    return turns


def _inst_turns(text: str) -> list[tuple[Role, str]]:
    turns: list[tuple[Role, str]] = []
    for found in _INST.finditer(text):
        if found["system"]:
            turns.append(("system", _strip(without_signs(found["system"]))))
        turns.append(("user", _strip(without_signs(found["user"]))))
        turns.append(("assistant", _strip(without_signs(found["assistant"]))))
    return turns


def _strip(text: str) -> str:
    """The text without blanks and written-out line ends (`\\n`) around it."""
    text = text.strip(_STRIP)
    while text.startswith("\\n"):
        text = text[2:].strip(_STRIP)
    while text.endswith("\\n"):
        text = text[:-2].strip(_STRIP)
    return text
