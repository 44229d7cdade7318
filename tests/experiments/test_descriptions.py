"""What fields mean and take, in words."""

from human_edge_detection.experiments.descriptions import choices_of, meaning_of, range_of, sections_of
from human_edge_detection.experiments.schema.data import AugmentationConfig, DataConfig
from human_edge_detection.experiments.schema.distillation import DistillationConfig
from human_edge_detection.experiments.schema.model import DetectorConfig, ModelConfig
from human_edge_detection.experiments.schema.training import EmaConfig, TrainingConfig


def test_a_meaning_comes_from_where_it_was_written() -> None:
    assert meaning_of(TrainingConfig, "epochs") == "Passes over the training data in all, also when resuming."
    assert meaning_of(DataConfig, "num_workers").startswith("Processes that load images; null: 1 on a CPU")
    assert meaning_of(DetectorConfig, "max_persons").endswith("the likeliest.")
    assert meaning_of(TrainingConfig, "ema").startswith("Exponential moving average")


def test_a_range_is_told_in_words() -> None:
    ranges = {
        range_of(owner.model_fields[name])
        for owner, name in ((DataConfig, "max_rois_per_image"), (AugmentationConfig, "scale"), (EmaConfig, "decay"))
    }
    assert ranges == {"at least 1, at most 100", "above 0.1, at most 4", "above 0, below 1"}
    assert range_of(TrainingConfig.model_fields["seed"]) == "at least 0, below 2147483648"
    assert range_of(DataConfig.model_fields["root"]) == ""


def test_choices_and_sections_are_found() -> None:
    assert choices_of(ModelConfig.model_fields["encoder_depth"].annotation) == (4, 5)
    assert [kind.__name__ for kind in sections_of(ModelConfig.model_fields["decoder"].annotation)] == [
        "UnetDecoderConfig",
        "FpnDecoderConfig",
    ]
    assert sections_of(DistillationConfig.model_fields["terms"].annotation) == ()
