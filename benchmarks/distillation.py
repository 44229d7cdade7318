"""Does distillation help on images? Trains a teacher, chooses a method on training images, reports on others.

    uv run python benchmarks/distillation.py --data_root people --encoder_weights weights --stage teacher
    uv run python benchmarks/distillation.py --data_root people --encoder_weights weights --stage choose
    uv run python benchmarks/distillation.py --data_root people --encoder_weights weights --stage report

Each stage shows its commands and goes on where it was stopped. Nothing sees the validation images before the last:

teacher
    A fifth of the training images is held out. The teacher learns from the others ("fit"), at a larger size than
    the students, and is scored on those held out ("tuning").
choose
    One student for each of METHODS, and the control without a teacher: seed 0, fit, scored on tuning.
report
    The control, plain KL and the methods of ``--report``: each seed, fit, scored on the validation images.

``benchmarks/distillation.md`` has what came of it.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

from human_edge_detection.runner.sweep.tuning_split import split

TEACHER = "rgb_hierarchical_unet_v2_fullimage_pretrained_peopleseg_r64x48m128x96_disttrans_contdet_baware"
CONTROL = "rgb_hierarchical_unet_v2_student_b0"
PLAIN = "rgb_hierarchical_unet_v2_distillation_b0_from_b3"
# Suffix of the run -> experiment and changes.
METHODS: dict[str, tuple[str, list[str]]] = {
    "kl": (PLAIN, []),
    "kl_t2": (PLAIN, ["distillation.temperature=2"]),
    "kl_t1": (PLAIN, ["distillation.temperature=1"]),
    "kl_t8": (PLAIN, ["distillation.temperature=8"]),
    "kl_a05": (PLAIN, ["distillation.alpha=0.5"]),
    "kl_a09": (PLAIN, ["distillation.alpha=0.9"]),
    "feat_a09": (f"{PLAIN}_feat", ["distillation.alpha=0.9"]),
    **{name: (f"{PLAIN}_{name}", []) for name in ("dkd", "dist", "cwd", "std", "bpkd", "feat", "at", "temp_prog")},
}
NEEDS_TEACHER = ("feat", "feat_a09", "at")  # soft labels have no features
SMALL = ["model.roi_size=[32,24]", "model.mask_size=[64,48]", "data.max_rois_per_image=6", "training.ema.decay=0.99"]
# What `hed prepare-data` suggests for the training images.
SMALL.append("loss.class_weights=[0.604,0.529,1.868]")
TEACHER_SETS = ["model.image_size=[192,192]", "model.pretrained_unet_config=null", *SMALL]
STUDENT_SETS = ["model.image_size=[128,128]", *SMALL]
TEACHER_FLAGS = ["--batch_size", "16", "--learning_rate", "0.001", "--epochs", "24"]
STUDENT_EPOCHS = 20
STUDENT_FLAGS = ["--batch_size", "8", "--learning_rate", "0.001", "--epochs", str(STUDENT_EPOCHS)]
STUDENT_FLAGS += ["--cache_views", str(STUDENT_EPOCHS), "--num_workers", "0"]


class Proof:
    """The commands of the three stages, over one folder of images and one of results."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.out: Path = args.output_dir
        self.images: Path = args.data_root / "images"
        self.annotations: Path = args.data_root / "annotations"
        self.checkpoint = self.out / "teacher" / "runs" / "teacher_b3" / "checkpoints" / "best_model.pth"

    def teacher(self) -> None:
        """Holds images out and trains the teacher on the others."""
        annotations = json.loads((self.annotations / "instances_train_person.json").read_bytes())
        self.out.mkdir(parents=True, exist_ok=True)
        for name, part in zip(("fit", "tuning"), split(annotations), strict=True):
            (self.out / f"{name}.json").write_text(json.dumps(part))
        self._hed(
            "run", "teacher", TEACHER, TEACHER_SETS, [*TEACHER_FLAGS, "--run_name", "teacher_b3", "--num_workers", "1"]
        )

    def choose(self) -> None:
        """Trains each method once and compares the scores on the images that were held out."""
        self._students("choose", self.args.methods, [0])

    def report(self) -> None:
        """Trains control, plain KL and the chosen methods with each seed, compares them on validation images."""
        self._students("report", self.args.report, self.args.seeds)

    def _students(self, stage: str, methods: list[str], seeds: list[int]) -> None:
        all_seeds = ["--seeds", *map(str, seeds)]
        self._hed("run", stage, CONTROL, STUDENT_SETS, ["--join", *STUDENT_FLAGS, "--run_name", "control", *all_seeds])
        folder = str(self.out / stage / "soft_labels_{seed}")
        taught = [*STUDENT_FLAGS, "--teacher_checkpoint", str(self.checkpoint)]
        for seed in seeds:
            stored = [*taught, "--soft_labels", folder, "--seed", str(seed)]
            self._hed("soft-labels", stage, PLAIN, STUDENT_SETS, stored)
        for method in methods:
            experiment, sets = METHODS[method]
            flags = taught if method in NEEDS_TEACHER else [*taught, "--soft_labels", folder]
            self._hed(
                "run", stage, experiment, [*STUDENT_SETS, *sets], ["--join", *flags, "--run_name", method, *all_seeds]
            )
        out = self.out / stage
        execute("compare", *methods, "--against", "control", "--output_dir", str(out / "runs"), "--output", str(out))

    def _hed(self, verb: str, stage: str, experiment: str, sets: list[str], flags: list[str]) -> None:
        final = stage == "report"
        places = [
            *("--output_dir", str(self.out / stage / "runs"), "--encoder_weights", str(self.args.encoder_weights)),
            *("--train_ann", str(self.out / "fit.json"), "--train_images", str(self.images / "train")),
            *("--val_ann", str(self.annotations / "instances_val_person.json" if final else self.out / "tuning.json")),
            *("--val_images", str(self.images / ("val" if final else "train"))),
        ]
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
    parser.add_argument("--stage", choices=("teacher", "choose", "report"), required=True)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="to choose among")
    parser.add_argument("--report", nargs="+", choices=METHODS, default=["kl"], help="to report on")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    args = parser.parse_args()
    getattr(Proof(args), args.stage)()


if __name__ == "__main__":
    main()
