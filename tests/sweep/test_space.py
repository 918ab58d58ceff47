"""The command line of a sweep: which part decides its jobs, and how it is taken from the ledger again."""

import pytest

from lai.host.errors import UserError
from lai.sweep.ledger import Ledger
from lai.sweep.space import check_space, of_the_job, quoted, resume_command, resumed, space_of, to_keep


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "my sweep" / "sweep.db")
    arguments = ["-m", "-cd", "more", "seed=1,2", "model=nano", "hydra/launcher=joblib", "hydra.sweep.dir=old"]
    made.create({"space": space_of(arguments), "arguments": to_keep(arguments), "metric": "val/loss"})
    return made


def test_folder_launcher_and_what_is_for_one_start_do_not_decide_which_jobs_there_are():
    more = ["hydra.sweep.dir=x", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "sweep.retry_failed=true"]
    jobs = ["-cn", "other", "seed=1,2", "~logger.csv", "hydra.sweep.subdir=a", "sweep.metric=val/bpb"]
    assert space_of(["-m", *jobs, *more, "++sweep.max_failures=3"]) == jobs
    assert of_the_job(["seed=1", "sweep.retry_failed=true"]) == ("seed=1",)


def test_the_same_command_is_the_same_sweep(ledger):
    check_space(ledger, ["-m", "-cd", "more", "seed=1,2", "model=nano", "sweep.retry_failed=true"])


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        (["seed=1,2,3", "model=nano"], "seed=1,2 there, seed=1,2,3 here"),
        (["seed=1,2", "model=nano", "optimizer=muon"], "nothing there, optimizer=muon here"),
        (["seed=1,2"], "model=nano there, nothing here"),
        (["model=nano", "seed=1,2"], "the same settings in another order, which numbers the jobs otherwise"),
    ],
)
def test_another_sweep_is_refused_with_the_difference(ledger, arguments, difference):
    with pytest.raises(UserError) as found:
        check_space(ledger, ["-cd", "more", *arguments])
    assert f"holds another sweep: {difference}; " in str(found.value)
    assert "\n" not in str(found.value)


def test_a_folder_alone_gives_the_whole_command(ledger):
    folder = ledger.path.parent
    expected = ["-cd", "more", "seed=1,2", "model=nano"]
    found = resumed(["-m", f"sweep.resume='{folder}'"])
    assert found == ["-m", *expected, "hydra/launcher=joblib", f"hydra.sweep.dir='{folder}'"]
    assert space_of(found) == ledger.facts()["space"]
    found = resumed([f"sweep.resume={folder}", "hydra/launcher=basic", "sweep.retry_failed=true"])
    assert found[:-1] == ["-m", *expected, "hydra/launcher=basic", "sweep.retry_failed=true"]


def test_without_a_folder_the_arguments_stay_as_they_are():
    for arguments in (["-m", "seed=1,2"], ["sweep.resume=null"], []):
        assert resumed(arguments) == arguments


def test_a_folder_without_a_ledger_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no sweep\.db; expected the folder of a sweep"):
        resumed(["-m", f"sweep.resume={tmp_path}"])


@pytest.mark.parametrize("text", ["plain/path", "with blank", "o'clock", "a,b", "é"])
def test_any_folder_can_be_written_on_hydras_command_line(text):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (override,) = OverridesParser.create().parse_overrides([f"hydra.sweep.dir={quoted(text)}"])
    value = override.value()
    assert str(value) == text or value.text == text


def test_the_command_that_resumes_can_be_pasted(tmp_path):
    assert resume_command(tmp_path / "a b").endswith(f"""-m 'sweep.resume='"'"'{tmp_path}/a b'"'"''""")
