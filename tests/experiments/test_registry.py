"""The registered experiments."""

from pathlib import Path

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments import config_manager, presets
from human_edge_detection.experiments.difference import difference
from human_edge_detection.experiments.schema.experiment import ExperimentConfig, derive

FAMILY = "rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_{}_disttrans_contdet_baware{}"
PROMISED = {
    "baseline",
    "rgb_hierarchical_unet_v2_student_b0",
    *(
        FAMILY.format(resolution, suffix)
        for resolution in ("r64x48m128x96", "r80x60m160x120", "r128x96m256x192")
        for suffix in ("_b0", "_b1", "", "_b7")
    ),
    *(f"rgb_hierarchical_unet_v2_distillation_{s}_from_{t}" for s in ("b0", "b1") for t in ("b3", "b4", "b7")),
    *(f"peopleseg_unet_{size}" for size in ("b0", "b1", "b3", "b7")),
    "quickstart_teacher_b3",
    "quickstart_student_b0",
    "quickstart_distilled_b0_from_b3",
    "quickstart_edge_from_b3",
    *(f"rgb_hierarchical_unet_v2_{name}" for name in ("student_b0_edge", "student_edge_tiny")),
    *(f"rgb_hierarchical_unet_v2_distillation_{name}_from_b3" for name in ("b0_edge", "edge_tiny")),
}


def test_all_presets_validate_and_round_trip_through_json() -> None:
    configs = config_manager.list_configs()
    assert len(configs) >= 30, f"saw only {len(configs)} presets"
    for config in configs:
        assert ExperimentConfig.model_validate_json(config.model_dump_json()) == config
        assert config.description, config.name


def test_promised_names_are_registered() -> None:
    assert {config.name for config in config_manager.list_configs()} >= PROMISED


def test_dependencies_of_every_preset_are_registered() -> None:
    for config in config_manager.list_configs():
        if config.model.pretrained_unet_config is not None:
            needed = config_manager.get_config(config.model.pretrained_unet_config)
            assert needed.model.encoder == config.model.encoder
        if config.distillation is not None and config.distillation.teacher_config is not None:
            teacher = config_manager.get_config(config.distillation.teacher_config)
            assert teacher.model.mask_size == config.model.mask_size


@pytest.mark.parametrize(
    ("student", "distilled", "temperature", "alpha"),
    [
        ("quickstart_student_b0", "quickstart_distilled_b0_from_b3", 4.0, 0.7),
        ("rgb_hierarchical_unet_v2_student_b0", "rgb_hierarchical_unet_v2_distillation_b0_from_b3", 4.0, 0.7),
        ("rgb_hierarchical_unet_v2_student_b1", "rgb_hierarchical_unet_v2_distillation_b1_from_b3", 5.0, 0.75),
        ("rgb_hierarchical_unet_v2_student_b1", "rgb_hierarchical_unet_v2_distillation_b1_from_b7", 4.0, 0.7),
    ],
)
def test_distilled_differs_from_its_control_in_distillation_alone(
    student: str, distilled: str, temperature: float, alpha: float
) -> None:
    changed = difference(config_manager.get_config(distilled), config_manager.get_config(student))
    assert list(changed) == ["distillation"]
    assert changed["distillation"][1]["temperature"] == temperature
    assert changed["distillation"][1]["alpha"] == alpha


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown experiment 'basline' \(did you mean 'baseline'\?\).*--list_configs"
    ):
        config_manager.get_config("basline")
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        config_manager.expand(["quickstrt"])


def test_expand_replaces_groups_and_drops_repetitions() -> None:
    names = config_manager.expand(["quickstart_student_b0", "quickstart", "baseline"])
    first, *rest = (
        f"quickstart_{name}" for name in ("student_b0", "teacher_b3", "distilled_b0_from_b3", "edge_from_b3")
    )
    assert names == [first, *rest, "baseline"]


@pytest.mark.parametrize(("source", "lacks"), [("EXPERIMENTS = ()", "PLACE"), ("PLACE = 9", "EXPERIMENTS")])
def test_a_module_of_presets_without_what_it_needs_is_named(
    source: str, lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / f"without_{lacks.lower()}.py"
    module.write_text(source)
    monkeypatch.setattr(presets, "__path__", [*presets.__path__, str(tmp_path)])
    with pytest.raises(ConfigError, match=rf"{module.name}: a module of presets needs {lacks}, a "):
        config_manager.list_groups()


def test_register_refuses_a_taken_name() -> None:
    baseline = config_manager.get_config("baseline")
    assert config_manager.register(baseline) is baseline
    with pytest.raises(ConfigError, match="taken"):
        config_manager.register(derive(baseline, name="baseline"))
    with pytest.raises(ConfigError, match="taken"):
        config_manager.register(derive(baseline, name="quickstart"))
