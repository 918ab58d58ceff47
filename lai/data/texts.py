"""The text that settings name: given as files, generated or fetched; mended on request."""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lai.config.setting import SettingError
from lai.data.cache import cached_file, fingerprint
from lai.data.cleaned import cleaned_files
from lai.data.sources.discovery import files_left_out, find_files
from lai.data.sources.reading import Reading
from lai.host.errors import UserError
from lai.host.files import atomic_write, file_digest
from lai.tokenizer.chat import render

if TYPE_CHECKING:
    from lai.config.schema import DataSettings
    from lai.data.synthetic import Example, SyntheticConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Text:
    """The files to train on, those to validate with (none: a share is chosen), and how they are read.

    Args:
        val_nats: the -log p of all documents to validate with, where the generator has drawn them.
        left_out: what else there is where the files were looked for, by ending.
        source: the name of the source that it is, in a mixture.
    """

    files: list[Path]
    val_files: list[Path]
    reading: Reading
    val_nats: float | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    source: str | None = None


def text_of(data: "DataSettings", cache: Path) -> Text:
    """The text of settings without `data.sources`.

    Raises:
        UserError: no such file, or settings that name no text.
    """
    text = _text(data, cache, _reading(data))
    if not data.clean or (data.path is None and data.source != "hub"):  # generated text has no damage
        return text
    files, val_files = (cleaned_files(part, cache, log.info, text.reading) for part in (text.files, text.val_files))
    return replace(text, files=files, val_files=val_files, reading=Reading(normalize=text.reading.normalize))


def _reading(data: "DataSettings") -> Reading:
    """How the rows of `data.path` are read; text that is generated or fetched is in LAi's own form."""
    if data.path is None:
        for name in ("columns", "template"):
            if getattr(data, name) is not None:
                raise UserError(f"data.{name} is for data.path; with data=hub it is data.hub.{name}")
        return Reading(normalize=data.normalize, max_unpacked=data.max_unpacked)
    return Reading(data.columns, data.template, data.bad_rows, data.normalize, data.max_unpacked)


def _text(data: "DataSettings", cache: Path, reading: Reading) -> Text:
    """The text that is given, generated or fetched."""
    val_files = [] if data.val_path is None else find_files(data.val_path, reading)
    if data.path is not None:
        held_back = {file.resolve() for file in val_files}
        files = [file for file in find_files(data.path, reading) if file.resolve() not in held_back]
        if not files:
            raise UserError(
                f"data.path={data.path} names no file besides those of data.val_path; nothing is left to train on"
            )
        return Text(files, val_files, reading, left_out=files_left_out(data.path, reading))
    if data.source == "hub" and data.hub is not None:
        return Text(_hub_files(asdict(data.hub), cache), val_files, reading)
    if data.source != "synthetic" or data.synthetic is None:
        raise UserError(f"data.{data.source} is missing; data.source={data.source} needs its settings or a data.path")
    from lai.data.synthetic import SyntheticConfig

    try:
        config = SyntheticConfig(**asdict(data.synthetic))
    except SettingError as error:
        raise UserError(f"data.synthetic.{error}") from None
    files = [_synthetic_file(config, cache)]
    if val_files:
        return Text(files, val_files, reading)
    drawn, nats = _drawn_file(config, data.val_fraction, cache)
    return Text(files, [drawn], reading, nats)


def _synthetic_file(config: "SyntheticConfig", cache: Path) -> Path:
    """The text to train on."""
    from lai.data.synthetic import generate

    path = cache / f"synthetic-{_fingerprint_of_generated(config)}.txt"
    cached_file(path, lambda target: _write_examples(target, generate(config)))
    return path


def _drawn_file(config: "SyntheticConfig", fraction: float, cache: Path) -> tuple[Path, float]:
    """The text to validate with, and the sum of its documents' -log p in nats."""
    from lai.data.synthetic import draw

    count = math.ceil(fraction * config.documents)
    path = cache / f"synthetic-{_fingerprint_of_generated(config, drawn=count)}.txt"
    facts = cached_file(path, lambda target: _write_examples(target, draw(config, count, config.seed)))
    return path, facts["nats"]


def _fingerprint_of_generated(config: "SyntheticConfig", **settings: Any) -> str:
    from lai.data import synthetic

    generator = Path(synthetic.__file__).parent  # its code and its word lists, which decide what is written
    made_by = [
        (file.name, file_digest(file)) for file in sorted(generator.rglob("*")) if file.suffix in (".py", ".txt")
    ]
    return fingerprint({"settings": asdict(config), "made by": made_by} | settings)


def _write_examples(path: Path, examples: Iterable["Example"]) -> dict[str, Any]:
    log.info("generating text")
    count, nats = 0, 0.0
    with atomic_write(path) as file:
        for example in examples:
            file.write(render(example.document) + b"\n")
            count += 1
            nats -= example.log_prob
    return {"documents": count, "nats": nats}


def _hub_files(settings: Mapping[str, Any], cache: Path) -> list[Path]:
    """The text of the data sets, a file each."""
    from lai.data.sources.catalog import choose_sets
    from lai.data.sources.hub import HubSource, fetch

    size, rows = settings["size"], settings["rows"]
    own = {key: value for key, value in settings.items() if key not in ("size", "rows")}
    if own["name"] is None:
        plain = asdict(HubSource())
        if meant := [key for key, value in own.items() if key != "name" and value != plain[key]]:
            raise UserError(f"data.hub.{meant[0]} is for a data set of your own, but data.hub.name is missing")
        sources = choose_sets(size, rows or {})
    else:
        if rows:
            raise UserError("data.hub.rows is for the known data sets; with data.hub.name it is data.hub.limit")
        sources = {"hub": HubSource(**own)}
    paths = []
    for name, source in sources.items():
        path = cache / f"{name}-{fingerprint(source.identity())}.jsonl"
        cached_file(path, lambda target, source=source: asdict(fetch(source, target)))  # type: ignore[misc]
        paths.append(path)
    return paths
