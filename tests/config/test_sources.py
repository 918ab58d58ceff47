"""Mistakes in `data.sources`: one line each, which names the source and the key."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from runs import TINY, composed

from lai.config.load import load_run_config
from lai.host.errors import UserError


def load(*overrides: str):
    return load_run_config(composed("data=text", "output_dir=x", *TINY, *overrides))


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ("{a: {path: x.txt, weight: 0}}", r"data\.sources\.a\.weight is 0\.0; it must be more than 0"),
        ("{a: {path: x.txt, weight: -1}}", r"data\.sources\.a\.weight is -1\.0; it must be more than 0"),
        ("{a: {path: x.txt, weight: much}}", r"data\.sources\.a\.weight: Value 'much'.*Float"),
        ("{a: {path: x.txt, wheight: 1}}", r"data\.sources\.a has no key wheight; did you mean weight\?"),
        ("{a: {path: x.txt, reading: 1}}", r"data\.sources\.a has no key reading; its keys are weight, max_epochs, "),
        (
            "{a: {path: x.txt, hub: {naem: b}}}",
            r"a has no key hub\.naem; its keys are those of data\.hub",
        ),
        ("{a: {path: x.txt, max_epochs: 0}}", r"data\.sources\.a\.max_epochs is 0; it must be at least 1, or -1"),
        ("{a: {path: x.txt, language: de}}", r"data\.sources\.a\.language is 'de'; it must be one of hu, en"),
        ("{a: {weight: 1}}", r"data\.sources\.a has no text; give it a path"),
        ("{a: {source: files}}", r"data\.sources\.a has no text; give it a path"),
        ("{a: {path: x.txt, source: synthetic}}", r"data\.sources\.a has path and synthetic; a source has one"),
        ("{a: {path: 3}}", r"data\.sources\.a\.path is 3; it must be a path"),
        ("{a: {path: []}}", r"data\.sources\.a\.path is empty"),
        ("{a: {path: x.txt, val_path: ''}}", r"data\.sources\.a\.val_path is empty"),
        ("{a: {source: synthetic, template: x}}", r"data\.sources\.a\.template is for a source with a path"),
        ("{a: {source: hub, columns: {text: b}}}", r"with a hub it is data\.sources\.a\.hub\.columns"),
        ("{a: {path: x.txt, weight: 1}, b: {path: y.txt}}", r"data\.sources\.b has no weight, but a has one"),
        ("{a b: {path: x.txt}}", r"a source 'a b'; a name is of 1 to 40 letters"),
        ("{a/b: {path: x.txt}}", r"a source 'a/b'; a name"),
        ("{a.b: {path: x.txt}}", r"a source 'a\.b'; a name"),
        ("{3: {path: x.txt}}", r"data"),
        ("{}", r"data\.sources is empty"),
        ("x.txt", r"data\.sources"),
        ("[x.txt]", r"data"),
        ("{a: x.txt}", r"data\.sources"),
    ],
)
def test_a_mistake_is_one_line(sources, message):
    with pytest.raises(UserError, match=message) as caught:
        load(f"data.sources={sources}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.path=x.txt"], r"data\.path does not go with data\.sources; give it to each source"),
        (["data.val_path=x.txt"], r"data\.val_path does not go with data\.sources"),
        (["data.columns={text: b}"], r"data\.columns does not go with data\.sources"),
        (["data.max_epochs=0"], r"data\.max_epochs is 0; it must be at least 1, or -1"),
    ],
)
def test_what_each_source_has_of_its_own_is_refused_for_all(overrides, message):
    with pytest.raises(UserError, match=message):
        load("data.sources={a: {path: y.txt}}", *overrides)


def test_a_limit_of_passes_without_sources_is_told_from_the_epochs_of_the_run():
    with pytest.raises(UserError, match=r"it is for data\.sources; the epochs of a run are trainer\.max_epochs=3"):
        load("data.path=x.txt", "data.max_epochs=3")


def test_sources_of_every_kind_are_read():
    run = load(
        "data.sources={files: {path: [a.txt, b.txt], weight: 2}, made: {synthetic: {sentences: 5}, weight: 1}, "
        "net: {hub: {name: org/set, limit: 3}, weight: 0.5}, known: {source: hub, weight: 1}}"
    )
    sources = run.data.sources
    assert sources["files"].path == ["a.txt", "b.txt"]
    assert (sources["made"].synthetic.sentences, sources["made"].synthetic.stories) == (5, 5000)
    assert (sources["net"].hub.name, sources["net"].hub.limit) == ("org/set", 3)
    assert sources["known"].source == "hub"


def test_the_example_of_the_page_is_valid():
    page = Path(__file__).parents[2] / "docs" / "data.md"
    if not page.is_file():
        pytest.skip("the documents are in a checkout only")
    example = OmegaConf.create(re.search(r"```yaml\n(# @package _global_\n.*?)```", page.read_text("utf-8"), re.S)[1])
    config = composed("output_dir=x", *TINY)
    OmegaConf.set_struct(config, False)
    data = load_run_config(OmegaConf.merge(config, example)).data
    assert [*data.sources] == ["wiki", "web", "chat", "made"]
    assert (data.max_epochs, data.sources["chat"].max_epochs, data.sources["web"].licence) == (6, 3, "CC BY 4.0")
