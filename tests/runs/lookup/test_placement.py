"""The rule that says in which folder a run lies."""

from collections.abc import Callable
from pathlib import Path

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.experiments.overrides import apply, collect
from human_edge_detection.experiments.registry import get_config
from human_edge_detection.experiments.schema.experiment import ExperimentConfig
from human_edge_detection.files.write import write_json
from human_edge_detection.runs.lookup.identity import find_contents
from human_edge_detection.runs.lookup.placement import Placement, RunIndex, Wanted, grown
from human_edge_detection.runs.lookup.reservation import release, reserve
from human_edge_detection.runs.paths import RunPaths, summary_path

WriteRun = Callable[..., RunPaths]
NAME = "quickstart_student_b0"


def config(*sets: str) -> ExperimentConfig:
    return apply(get_config(NAME), collect(sets=sets))


def place(
    folder: Path, *sets: str, seeds: tuple[int, ...] = (), may_grow: bool = True, plain: bool = True
) -> dict[int | None, Placement]:
    configs = {seed: config(*sets, f"training.seed={seed}") for seed in seeds} if seeds else {None: config(*sets)}
    wanted = {key: Wanted(one, find_contents(one)) for key, one in configs.items()}
    return RunIndex(folder).place(NAME, wanted, may_grow=may_grow, plain=plain)


def take(folder: Path, *sets: str, seeds: tuple[int, ...] = ()) -> list[str]:
    """Names of the folders, which are reserved."""
    placements = place(folder, *sets, seeds=seeds)
    for one in placements.values():
        reserve(RunPaths(folder / one.name), one.config, one.contents)
    return [one.name for one in placements.values()]


def done(folder: Path, epochs: int) -> None:
    """Says that the run in ``folder`` has completed so many epochs."""
    latest = RunPaths(folder).latest
    latest.parent.mkdir(exist_ok=True)
    latest.touch()
    fields = {"experiment": NAME, "sha256": "", "epoch": epochs, "metrics": {}, "data_fingerprint": "", "step": 9}
    write_json(summary_path(latest), fields)


def test_the_plain_folder_is_for_the_first_whatever_its_settings(tmp_path: Path) -> None:
    assert take(tmp_path, "training.batch_size=4") == [NAME]
    assert [one.kind for one in place(tmp_path, "training.batch_size=4").values()] == ["same"]


def test_another_setting_is_another_run_and_one_line_says_which(tmp_path: Path) -> None:
    take(tmp_path)
    (other,) = place(tmp_path, "training.batch_size=4").values()
    assert other.kind == "new"
    assert other.name.startswith(f"{NAME}+")
    assert other.note is not None
    assert "training.batch_size is 8 there, 4 here" in other.note
    assert take(tmp_path, "training.batch_size=4") == take(tmp_path, "training.batch_size=4")
    assert len(list(tmp_path.glob(f"{NAME}+*"))) == 1


def test_more_epochs_grow_the_run_and_fewer_are_another(tmp_path: Path) -> None:
    take(tmp_path, "training.epochs=50")
    done(tmp_path / NAME, 50)
    (more,) = place(tmp_path, "training.epochs=100").values()
    assert (more.name, more.kind, more.config.training.segments) == (NAME, "grows", (50, 100))
    (fewer,) = place(tmp_path, "training.epochs=20").values()
    assert (fewer.kind, fewer.note is not None and "training.epochs is 50 there, 20 here" in fewer.note) == (
        "new",
        True,
    )
    (swept,) = place(tmp_path, "training.epochs=100", may_grow=False).values()
    assert swept.kind == "new"


def test_a_grown_run_is_found_by_its_new_total_alone(tmp_path: Path) -> None:
    take(tmp_path, "training.epochs=50")
    done(tmp_path / NAME, 50)
    take(tmp_path, "training.epochs=100")
    (again,) = place(tmp_path, "training.epochs=100").values()
    assert (again.kind, again.config.training.segments) == ("same", (50, 100))
    assert place(tmp_path, "training.epochs=50")[None].name != NAME


def test_a_grown_run_keeps_its_folder_from_runs_with_the_digest_of_its_fewer_epochs(tmp_path: Path) -> None:
    take(tmp_path, "training.epochs=2")
    (small,) = take(tmp_path, "training.epochs=1")
    done(tmp_path / small, 1)
    take(tmp_path, "training.epochs=3")
    take(tmp_path, "training.epochs=2")
    assert RunIndex(tmp_path)._folders(NAME)[small][None].epochs == 2  # it has grown
    (again,) = take(tmp_path, "training.epochs=1")
    assert again != small
    assert RunIndex(tmp_path)._folders(NAME)[small][None].epochs == 2


def test_a_run_that_has_done_nothing_grows_without_a_segment(tmp_path: Path) -> None:
    take(tmp_path, "training.epochs=50")
    assert place(tmp_path, "training.epochs=100")[None].config.training.segments is None


@pytest.mark.parametrize(
    ("segments", "total", "epochs", "done_now", "expected"),
    [
        (None, 50, 100, 50, (50, 100)),
        (None, 50, 100, 25, (25, 100)),
        (None, 50, 50, 25, None),
        (None, 50, 100, 0, None),
        ((50, 100), 100, 100, 70, (50, 100)),
        ((50, 100), 100, 100, 50, (50, 100)),
        ((50, 100), 100, 100, 25, (25, 100)),
        ((50, 100), 100, 200, 100, (50, 100, 200)),
        ((50, 100), 100, 200, 50, (50, 200)),
    ],
)
def test_segments_say_when_the_total_was_raised(
    segments: tuple[int, ...] | None, total: int, epochs: int, done_now: int, expected: tuple[int, ...] | None
) -> None:
    training = config().training.model_copy(update={"epochs": total, "segments": segments})
    stored = config().model_copy(update={"training": training})
    result = grown(stored, epochs, done_now).training
    assert (result.epochs, result.segments) == (epochs, expected)


def test_a_sweep_never_takes_the_plain_folder(tmp_path: Path) -> None:
    assert place(tmp_path, plain=False)[None].name.startswith(f"{NAME}+")
    take(tmp_path)
    assert place(tmp_path, plain=False)[None].kind == "same"  # the very run that is there


def test_all_seeds_share_a_folder_that_leaves_the_seed_out(tmp_path: Path) -> None:
    assert take(tmp_path, seeds=(0, 1)) == [f"{NAME}/seed_0", f"{NAME}/seed_1"]
    assert take(tmp_path, seeds=(2,)) == [f"{NAME}/seed_2"]
    (other,) = take(tmp_path, "training.batch_size=4", seeds=(0,))
    assert other.startswith(f"{NAME}+")
    assert other.endswith("/seed_0")
    assert take(tmp_path, "training.batch_size=4", seeds=(1,)) == [other.replace("seed_0", "seed_1")]


def test_a_group_grows_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    take(tmp_path, "training.epochs=50", seeds=(0, 1))
    assert {one.kind for one in place(tmp_path, "training.epochs=100", seeds=(0, 1)).values()} == {"grows"}
    assert {one.kind for one in place(tmp_path, "training.epochs=100", seeds=(0,)).values()} == {"new"}


def test_a_single_run_and_a_group_share_a_name_only_if_they_are_equal(tmp_path: Path) -> None:
    take(tmp_path, seeds=(0, 1))
    assert take(tmp_path) == [NAME]
    other = tmp_path / "other"
    take(other, "training.batch_size=4", seeds=(0,))
    assert take(other)[0].startswith(f"{NAME}+")


@pytest.mark.parametrize("what", ["a file", "a folder of the user", "a link"])
def test_what_is_no_run_keeps_its_name(tmp_path: Path, what: str) -> None:
    if what == "a file":
        (tmp_path / NAME).touch()
    elif what == "a link":
        (tmp_path / NAME).symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / NAME).mkdir()
        (tmp_path / NAME / "thesis.tex").touch()
    (placed,) = place(tmp_path).values()
    assert placed.name != NAME
    assert placed.note is not None
    assert "holds no run" in placed.note


def test_a_run_that_never_got_to_its_weights_gives_its_name_back(tmp_path: Path) -> None:
    take(tmp_path)
    release(RunPaths(tmp_path / NAME), with_status=False)
    assert take(tmp_path, "training.batch_size=4") == [NAME]
    RunPaths(tmp_path / NAME).checkpoints.mkdir()
    (RunPaths(tmp_path / NAME).checkpoints / "untrained_model.pth").touch()
    release(RunPaths(tmp_path / NAME), with_status=False)
    assert take(tmp_path) != [NAME]


def test_a_plain_folder_deleted_by_hand_is_free_again(tmp_path: Path) -> None:
    take(tmp_path)
    other = take(tmp_path, "training.batch_size=4")
    for file in (tmp_path / NAME).iterdir():
        file.unlink()
    (tmp_path / NAME).rmdir()
    assert take(tmp_path, "training.batch_size=4") == other
    assert take(tmp_path, "training.batch_size=2") == [NAME]


def test_a_run_name_is_refused_for_another_config_fewer_epochs_and_what_is_no_run(
    tmp_path: Path, write_run: WriteRun
) -> None:
    write_run(tmp_path / "mine", config())
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.tex").touch()

    def named(run_name: str, *sets: str) -> Placement:
        wanted: dict[int | None, Wanted] = {None: Wanted(config(*sets), find_contents(config(*sets)))}
        return RunIndex(tmp_path).place_named(run_name, wanted, may_grow=True)[None]

    assert named("mine").kind == "same"
    assert named("mine", "training.epochs=99").kind == "grows"
    assert named("new").kind == "new"
    for sets, problem in (
        (["training.batch_size=4"], r"another config: training\.batch_size is 8 there, 4 here"),
        (["training.epochs=1"], r"another config: training\.epochs is 6 there, 1 here"),
    ):
        with pytest.raises(ConfigError, match=problem):
            named("mine", *sets)
    with pytest.raises(ConfigError, match=r"papers is there and holds no run"):
        named("papers")


def test_a_reserved_folder_that_was_never_started_and_one_without_a_config_are_called_so(tmp_path: Path) -> None:
    take(tmp_path)
    (other,) = place(tmp_path, "training.batch_size=4").values()
    assert "has never started (training.batch_size is 8 there, 4 here)" in (other.note or "")
    assert "delete that folder, and this run gets its name" in (other.note or "")
    done(tmp_path / NAME, epochs=1)
    (other,) = place(tmp_path, "training.batch_size=4").values()
    assert "holds another run (" in (other.note or "")
    RunPaths(tmp_path / NAME).config.unlink()
    (other,) = place(tmp_path).values()
    assert "holds no run (no config.json): restore that file, or move the folder away" in (other.note or "")
