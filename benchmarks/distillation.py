"""Does distillation help on images? Chooses settings on training images, trains students, reports on validation images.

    uv run hed prepare-data --data_root people --output people256 --max_side 256
    uv run python benchmarks/distillation.py --data_root people256 --encoder_weights weights --stage choose
    uv run python benchmarks/distillation.py --data_root people256 --encoder_weights weights --stage teacher
    uv run python benchmarks/distillation.py --data_root people256 --encoder_weights weights --stage report

Each stage shows its commands and goes on where it was stopped. Nothing sees the validation images before the last:

choose
    A fifth of the training images is held out ("tuning"). The undistilled student, changed by each of CHANGES, seed 0,
    learns from the others ("fit") and is scored on tuning, beside the unchanged one.
teacher
    A B3 at 256 x 256 on all training images; ``--init_from`` starts it from an earlier one.
report
    The teacher's soft labels; then the control and each of ``--arms``, each seed, on all training images, scored on the
    validation images. ``--teacher_checkpoint`` names the teacher, by default that of the stage before.

``benchmarks/distillation.md`` has what came of it.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

from human_edge_detection.runner.sweep.tuning_split import split

TEACHER: Final = "rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_r64x48m128x96_disttrans_contdet_baware"
CONTROL: Final = "rgb_hierarchical_unet_v2_student_b0"
DISTILLED: Final = "rgb_hierarchical_unet_v2_distillation_b0_from_b3"
# What `hed prepare-data` suggests for the training images.
COMMON: Final = ["data.max_rois_per_image=6", "loss.class_weights=[0.604,0.529,1.868]"]
COPY_PASTE: Final = "data.augmentation.copy_paste={}"
STUDENT_SETS: Final = [
    "model.image_size=[128,128]",
    "model.roi_size=[32,24]",
    "model.mask_size=[64,48]",
    "training.ema.decay=0.99",
    *COMMON,
]
STUDENT_FLAGS: Final = ["--batch_size", "8", "--learning_rate", "0.001", "--epochs", "12", "--num_workers", "0"]
VIEWS: Final = ["--cache_views", "6"]
TEACHER_SETS: Final = [
    "model.image_size=[256,256]",
    "model.roi_size=[40,32]",
    "model.mask_size=[80,64]",
    "model.pretrained_unet_config=null",
    "training.ema.decay=0.995",
    COPY_PASTE,
    *COMMON,
]
TEACHER_FLAGS: Final = ["--batch_size", "12", "--learning_rate", "0.0006", "--num_workers", "1"]
CHANGES: Final = {"control": [], "copy_paste": [COPY_PASTE]}
"""Of the undistilled student, to choose among."""
ARMS: Final = {
    "distilled": [],
    "alpha_05": ["distillation.alpha=0.5"],
    "unknown_09": ["distillation.unknown_confidence=0.9"],
    "second_teacher": [],
}
"""Of the distilled student: run -> changes."""

SECOND: Final = (
    "distillation.external={kind: person_map, input: {scale: 1.0}, output: {values: classes, person_class: 15}}"
)
"""What ``--second_teacher`` takes and gives; a DeepLab of Pascal VOC's classes in 8-bit integers."""


class Proof:
    """The commands of the stages, over one folder of images and one of results."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.out: Path = args.output_dir
        self.images: Path = args.data_root / "images"
        self.annotations: Path = args.data_root / "annotations"

    def choose(self) -> None:
        """Trains the student with each change once and compares the scores on the images that were held out."""
        annotations = json.loads((self.annotations / "instances_train_person.json").read_bytes())
        out = self.out / "choose"
        out.mkdir(parents=True, exist_ok=True)
        for name, part in zip(("fit", "tuning"), split(annotations), strict=True):
            (out / f"{name}.json").write_text(json.dumps(part))
        data = [
            *("--train_ann", str(out / "fit.json"), "--train_images", str(self.images / "train")),
            *("--val_ann", str(out / "tuning.json"), "--val_images", str(self.images / "train")),
        ]
        for run, changes in CHANGES.items():
            self._hed("run", "choose", CONTROL, [*STUDENT_SETS, *changes], [*data, *STUDENT_FLAGS, "--run_name", run])
        self._compare("choose", [run for run in CHANGES if run != "control"])

    def teacher(self) -> None:
        """Trains a teacher on all training images."""
        flags = ["--data_root", str(self.args.data_root), *TEACHER_FLAGS, "--epochs", str(self.args.teacher_epochs)]
        if self.args.init_from:
            flags += ["--init_from", str(self.args.init_from)]
        self._hed("run", "teacher", TEACHER, TEACHER_SETS, [*flags, "--run_name", "teacher_b3"])

    def report(self) -> None:
        """Trains control and arms with each seed, compares them on validation images."""
        data = ["--data_root", str(self.args.data_root), *STUDENT_FLAGS, *VIEWS]
        seeds = ["--seeds", *map(str, self.args.seeds)]
        self._hed("run", "report", CONTROL, STUDENT_SETS, [*data, "--run_name", "control", *seeds])
        trained = self.out / "teacher" / "runs" / "teacher_b3" / "checkpoints" / "best_model.pth"
        taught = [*data, "--teacher_checkpoint", str(self.args.teacher_checkpoint or trained)]
        for run in self.args.arms:
            sets, stored = [*STUDENT_SETS, *ARMS[run]], "soft_labels_{seed}"
            if run == "second_teacher":
                sets += [f"distillation.more_teacher_checkpoints=[{self.args.second_teacher}]", SECOND]
                stored = "soft_labels_of_two_{seed}"
            flags = [*taught, "--soft_labels", str(self.out / "report" / stored)]
            for seed in self.args.seeds:
                self._hed("soft-labels", "report", DISTILLED, sets, [*flags, "--seed", str(seed)])
            self._hed("run", "report", DISTILLED, sets, [*flags, "--run_name", run, *seeds])
        self._compare("report", self.args.arms)

    def _compare(self, stage: str, runs: list[str]) -> None:
        out = self.out / stage
        execute("compare", *runs, "--against", "control", "--output_dir", str(out / "runs"), "--output", str(out))

    def _hed(self, verb: str, stage: str, experiment: str, sets: list[str], flags: list[str]) -> None:
        places = ["--output_dir", str(self.out / stage / "runs"), "--encoder_weights", str(self.args.encoder_weights)]
        train(verb, experiment, sets, [*places, *flags])


def train(verb: str, experiment: str, sets: list[str], flags: list[str]) -> None:
    """``hed run`` or ``hed soft-labels`` of one experiment with these changes."""
    named = "--configs" if verb == "run" else "--config"
    execute(verb, named, experiment, *(argument for change in sets for argument in ("--set", change)), *flags)


def execute(*arguments: str) -> None:
    """One command of ``hed``, shown first.

    Raises:
        CalledProcessError: It failed.
    """
    command = ["hed", *arguments]
    print("$", shlex.join(command), flush=True)
    subprocess.run([sys.executable, "-m", "human_edge_detection", *arguments], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_root", type=Path, required=True, help="images, from hed prepare-data")
    parser.add_argument("--encoder_weights", type=Path, required=True, help="folder with weights of B0 and B3")
    parser.add_argument("--output_dir", type=Path, default=Path("experiments/distillation_proof"))
    parser.add_argument("--stage", choices=("choose", "teacher", "report"), required=True)
    parser.add_argument("--init_from", type=Path, help="an earlier teacher, for --stage teacher")
    parser.add_argument("--teacher_epochs", type=int, default=24)
    parser.add_argument("--teacher_checkpoint", type=Path, help="for --stage report; default: that of --stage teacher")
    parser.add_argument("--second_teacher", type=Path, help="a model file that speaks of any person, for its arm")
    parser.add_argument(
        "--arms", nargs="+", choices=ARMS, default=["distilled"], help="distilled students to report on"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    args = parser.parse_args()
    getattr(Proof(args), args.stage)()


if __name__ == "__main__":
    main()
