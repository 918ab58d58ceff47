"""A config from elsewhere must not choose what Hydra itself executes: its callbacks, launcher, sweeper and logging."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lai.config.targets import Named, own_targets, targets_in
from lai.host.errors import UserError

_PATHS = ("--config-path", "-cp", "--config-dir", "-cd", "--config-name", "-cn")
_OBJECTS = ("callbacks", "launcher", "sweeper")
_WHOLE = ("job_logging", "hydra_logging", "job.env_set")

_load: Callable[..., DictConfig] = ConfigLoaderImpl.load_configuration


def names_other_configs(arguments: Sequence[str]) -> bool:
    """Whether an argument makes Hydra read YAML files besides our own."""
    names = {argument.partition("=")[0].lstrip("+") for argument in arguments}
    return bool(names.intersection((*_PATHS, "hydra.searchpath")))


def watch_foreign_configs(arguments: Sequence[str], conf: Path) -> None:
    """Compare the `hydra` section of every config that Hydra composes with our own, where some may come from elsewhere.

    Args:
        conf: our own folder of YAML files.

    Raises:
        UserError: an argument makes Hydra read a pickle.
    """
    if any(argument.partition("=")[0] == "--experimental-rerun" for argument in arguments):
        raise UserError(
            "--experimental-rerun reads a pickle, which may run any code; "
            "run a config again with --config-path FOLDER --config-name config"
        )
    if not names_other_configs(arguments):
        ConfigLoaderImpl.load_configuration = _load  # type: ignore[method-assign]
        return

    def checked(self: ConfigLoaderImpl, config_name: str | None, overrides: list[str], *rest: Any, **more: Any) -> Any:
        try:
            _check_search_path(self, config_name)
            config = _load(self, config_name, overrides, *rest, **more)
        except RecursionError:
            raise UserError(f"the config {config_name} is nested too deeply; expected the levels of conf/") from None
        _check_section(config, [*arguments, *overrides], overrides, conf)
        return config

    ConfigLoaderImpl.load_configuration = checked  # type: ignore[method-assign]


def _check_search_path(loader: ConfigLoaderImpl, config_name: str | None) -> None:
    """Refuse packages in the primary config's search path: Hydra imports them before it has composed anything."""
    loaded = loader.repository.load_config(config_path=config_name) if config_name else None
    if loaded is None or loaded.provider == "lai" or not OmegaConf.is_dict(loaded.config):
        return
    for place in OmegaConf.select(loaded.config, "hydra.searchpath") or ():
        if not str(place).startswith("file://"):
            raise UserError(f"hydra.searchpath of the config has {str(place)!r}, which may run code; name a folder")


def _check_section(config: DictConfig, arguments: Sequence[str], overrides: Sequence[str], conf: Path) -> None:
    """Compare with the section that our own files give with the same overrides of `hydra`.

    Raises:
        UserError: the config makes Hydra execute something else.
    """
    of_hydra = [override for override in overrides if override.lstrip("+~").startswith(("hydra.", "hydra/"))]
    own = _load(ConfigLoaderImpl(create_config_search_path(str(conf))), "train", of_hydra, RunMode.RUN)
    known = {target for _, target in targets_in(_plain(own, "hydra"))}
    known |= Named.by(arguments).targets | own_targets(conf)
    for name in _OBJECTS:
        for key, target in targets_in(_plain(config, f"hydra.{name}")):
            if target not in known:
                raise UserError(
                    f"hydra.{name}.{key} is {target!r}, which this config names and the command line does not: it "
                    "would run code of its choice; leave it out of the config, or set it on the command line"
                )
    for name in _WHOLE:
        if _plain(config, f"hydra.{name}") != _plain(own, f"hydra.{name}"):
            raise UserError(
                f"hydra.{name} of the config is not the program's own, and could run code; leave it out of the "
                "config, or set it on the command line"
            )


def _plain(config: DictConfig, key: str) -> Any:
    """The values under a key, interpolations as they are written."""
    node = OmegaConf.select(config, key, throw_on_resolution_failure=False)
    return OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node
