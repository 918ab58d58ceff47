"""The `_target_` paths of earlier versions, which the config.yaml of an old run still has."""

from omegaconf import DictConfig, OmegaConf

MOVED = {"lai.loggers.TensorBoard": "lai.run.loggers.TensorBoard"}
"""The path that a class of LAi had in a config before, and its path now. Add a line when you move such a class."""


def rename_moved_targets(group: DictConfig | None) -> None:
    """Give the nodes of `callbacks` or `logger` the paths that their classes have now."""
    for node in (group or {}).values():
        if OmegaConf.is_dict(node) and node.get("_target_") in MOVED:
            node["_target_"] = MOVED[node["_target_"]]
