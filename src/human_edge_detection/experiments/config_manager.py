"""The front door to the experiments.

from human_edge_detection.experiments.config_manager import derive, get_config, register

hot = derive(get_config("quickstart_distilled_b0_from_b3"), name="hot", distillation={"temperature": 8.0})
register(hot)
"""

from human_edge_detection.experiments.registry import (
    DEFAULT_NAME,
    expand,
    get_config,
    list_configs,
    list_groups,
    register,
)
from human_edge_detection.experiments.schema.experiment import build_config, derive

__all__ = [
    "DEFAULT_NAME",
    "build_config",
    "derive",
    "expand",
    "get_config",
    "list_configs",
    "list_groups",
    "register",
]
