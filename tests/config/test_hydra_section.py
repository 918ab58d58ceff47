"""What Hydra itself executes is not for a config from elsewhere to choose."""

import pytest
from hydra import compose, initialize_config_dir
from processes import lai_train

from lai.config.hydra_section import watch_foreign_configs
from lai.config.load import CONF_DIR
from lai.host.errors import UserError
from lai.run.folders import set_hydra_defaults

MARKS = "{_target_: logging.FileHandler, filename: MARKER}"

FOREIGN = {
    "callbacks": f"hydra: {{callbacks: {{x: {MARKS}}}}}",
    "a launcher": "hydra: {launcher: {_target_: logging.FileHandler}}",
    "a sweeper": "hydra: {sweeper: {_target_: logging.FileHandler}}",
    "an argument of the sweeper": f"hydra: {{sweeper: {{params: {{x: {MARKS}}}}}}}",
    "a handler of the log": "hydra: {job_logging: {handlers: {x: {class: logging.FileHandler, filename: MARKER}}}}",
    "a factory of the log": "hydra: {job_logging: {filters: {x: {(): logging.FileHandler, filename: MARKER}}}}",
    "the file of the log": "hydra: {job_logging: {handlers: {file: {filename: MARKER}}}}",
    "Hydra's own log": "hydra: {hydra_logging: {handlers: {x: {class: logging.FileHandler, filename: MARKER}}}}",
    "environment variables": "hydra: {job: {env_set: {PYTHONPATH: here}}}",
    "packages of configs": "hydra: {searchpath: ['pkg://mine']}",
}


@pytest.fixture
def watched(tmp_path):
    """A folder of configs that Hydra composes as lai-train does where it is named on the command line."""
    set_hydra_defaults(chooses_folder=True)
    arguments = ["--config-path", str(tmp_path)]
    watch_foreign_configs(arguments, CONF_DIR)
    yield tmp_path
    watch_foreign_configs([], CONF_DIR)


def composed(folder, text, *overrides):
    (folder / "config.yaml").write_text(f"{text}\nseed: 1\n")
    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True)


@pytest.mark.parametrize("way", FOREIGN)
def test_the_hydra_section_of_another_config_runs_nothing(watched, way):
    with pytest.raises(UserError, match=r"^hydra\.") as raised:
        composed(watched, FOREIGN[way])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        ("", ()),
        ("hydra: {run: {dir: runs/mine}}", ()),
        ("hydra: {sweeper: {params: {seed: '1,2'}}}", ()),
        ("", ("+hydra.job.env_set.A=one", "hydra.job_logging.root.level=DEBUG")),
        ("", ("hydra/job_logging=disabled",)),
    ],
)
def test_what_runs_no_code_and_what_the_command_line_sets_is_left_alone(watched, text, overrides):
    assert composed(watched, text, *overrides).seed == 1


def test_a_pickle_is_not_read():
    with pytest.raises(UserError, match="reads a pickle"):
        watch_foreign_configs(["--experimental-rerun", "config.pickle"], CONF_DIR)


def test_lai_train_refuses_a_config_whose_log_would_run_code(tmp_path):
    (tmp_path / "config.yaml").write_text(FOREIGN["a handler of the log"])
    done = lai_train("--config-path", str(tmp_path), "--config-name", "config", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "hydra.job_logging of the config" in done.stderr
    assert not (tmp_path / "MARKER").exists()


def test_a_config_that_is_nested_too_deeply_is_one_line(watched):
    with pytest.raises(UserError, match=r"^the config config is nested too deeply"):
        composed(watched, f"a: {'[' * 3000}{']' * 3000}")
