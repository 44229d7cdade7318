"""How good are the edge students? Trains them without and with a teacher, on images, with three seeds.

    uv run python benchmarks/edge.py --data_root people256 --encoder_weights weights --stage choose
    uv run python benchmarks/edge.py --data_root people256 --encoder_weights weights --stage report \
        --teacher_checkpoint teacher/checkpoints/best_model.pth

Each stage shows its commands and goes on where it was stopped. The validation images are seen by the last stage alone.

choose
    Each of VARIANTS of the edge student, undistilled: seed 0, four fifths of the training images, scored on the others.
report
    Soft labels of the teacher for each seed; then for each student of STUDENTS the control and the distilled one, with
    each seed, on all training images, scored on the validation images.

``benchmarks/edge.md`` has what came of it, and how fast they are.
"""

import argparse
import json
from pathlib import Path

from distillation import execute, train

from human_edge_detection.runner.sweep.tuning_split import split

NAME = "rgb_hierarchical_unet_v2_{}"
# Student -> control and distilled experiment.
STUDENTS = {
    "edge": (NAME.format("student_b0_edge"), NAME.format("distillation_b0_edge_from_b3")),
    "tiny": (NAME.format("student_edge_tiny"), NAME.format("distillation_edge_tiny_from_b3")),
}
# As in the presets, rois are seen on a quarter of the grid of the masks in each direction; masks are the teacher's.
ROI_GRID = ["model.mask_size=[80,64]", "model.roi_size=[20,16]"]
FINE_GRID = ["model.mask_size=[80,64]", "model.roi_size=[32,24]"]
# Name -> changes of the edge student. All take about the same time (`edge.md`).
VARIANTS = {
    "wide_features": ROI_GRID,
    "fine_grid": [*FINE_GRID, "model.decoder.channels=32", "model.head_channels=16"],
}
# What `hed prepare-data` suggests for the training images.
COMMON = ["data.max_rois_per_image=6", "training.ema.decay=0.99", "loss.class_weights=[0.604,0.529,1.868]"]
CHOOSE_SETS = ["model.image_size=[192,192]", *COMMON]
REPORT_SETS = ["model.image_size=[160,160]", *COMMON]
FLAGS = ["--batch_size", "8", "--learning_rate", "0.001", "--num_workers", "0"]
CHOOSE_FLAGS = [*FLAGS, "--epochs", "10"]
REPORT_FLAGS = [*FLAGS, "--epochs", "16", "--cache_views", "6"]


class Proof:
    """The commands of the stages, over one folder of images and one of results."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.out: Path = args.output_dir / args.stage
        self.images: Path = args.data_root / "images"
        self.annotations: Path = args.data_root / "annotations"

    def choose(self) -> None:
        """Trains each variant once and scores it on training images that were held out."""
        annotations = json.loads((self.annotations / "instances_train_person.json").read_bytes())
        self.out.mkdir(parents=True, exist_ok=True)
        for name, part in zip(("fit", "tuning"), split(annotations), strict=True):
            (self.out / f"{name}.json").write_text(json.dumps(part))
        data = [
            *("--train_ann", str(self.out / "fit.json"), "--train_images", str(self.images / "train")),
            *("--val_ann", str(self.out / "tuning.json"), "--val_images", str(self.images / "train")),
        ]
        for variant, changes in VARIANTS.items():
            sets = [*CHOOSE_SETS, *changes]
            self._train("run", STUDENTS["edge"][0], sets, [*data, *CHOOSE_FLAGS, "--run_name", variant])

    def report(self) -> None:
        """Trains controls and distilled students with each seed and compares them on validation images."""
        sets, data = [*REPORT_SETS, *ROI_GRID], ["--data_root", str(self.args.data_root)]
        labels = str(self.out / "soft_labels_{seed}")
        taught = [*data, *REPORT_FLAGS, "--teacher_checkpoint", str(self.args.teacher_checkpoint)]
        for seed in self.args.seeds:
            stored = [*taught, "--soft_labels", labels, "--seed", str(seed)]
            self._train("soft-labels", STUDENTS["edge"][1], sets, stored)
        seeds = ["--seeds", *map(str, self.args.seeds)]
        for student in self.args.students:
            control, distilled = STUDENTS[student]
            self._train("run", control, sets, [*data, *REPORT_FLAGS, "--run_name", f"{student}_control", *seeds])
            stored = [*taught, "--soft_labels", labels, "--run_name", f"{student}_distilled", *seeds]
            self._train("run", distilled, sets, stored)
            runs = [f"{student}_distilled", "--against", f"{student}_control", "--output_dir", str(self.out / "runs")]
            execute("compare", *runs, "--output", str(self.out / student))

    def _train(self, verb: str, experiment: str, sets: list[str], flags: list[str]) -> None:
        weights = self.args.tiny_weights if experiment in STUDENTS["tiny"] else self.args.encoder_weights
        places = ["--output_dir", str(self.out / "runs"), "--encoder_weights", weights]
        train(verb, experiment, sets, [*places, *flags])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_root", type=Path, required=True, help="images, from hed prepare-data")
    parser.add_argument("--encoder_weights", required=True, help="folder with weights of B0")
    parser.add_argument(
        "--tiny_weights", default="none", help="imagenet, or a file, for MobileNetV4; else from scratch"
    )
    parser.add_argument("--teacher_checkpoint", type=Path, help="a trained B3 teacher, for --stage report")
    parser.add_argument("--output_dir", type=Path, default=Path("experiments/edge_proof"))
    parser.add_argument("--stage", choices=("choose", "report"), required=True)
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=list(STUDENTS), help="to report on")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    args = parser.parse_args()
    if args.stage == "report" and args.teacher_checkpoint is None:
        parser.error("--stage report needs --teacher_checkpoint PATH")
    getattr(Proof(args), args.stage)()


if __name__ == "__main__":
    main()
