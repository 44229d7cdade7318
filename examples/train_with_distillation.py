"""Distillation from Python: trains a large model, then a small one that learns from it, and exports the small one.

    uv run python examples/train_with_distillation.py

needs no data: it draws its own images of people. Given again, it goes on where it stopped. The command line does the
same with ``train_advanced.py``; use this way when an experiment is part of a program of yours.
"""

import argparse
from pathlib import Path

import human_edge_detection as hed


def main() -> None:
    """Trains both and says what the small one is worth."""
    parser = argparse.ArgumentParser(description="Train a teacher, then a student distilled from it.")
    parser.add_argument("--results", type=Path, default=Path("results/train_with_distillation"), help="%(default)s")
    parser.add_argument("--quick", action="store_true", help="so few images that only the machinery is tried")
    args = parser.parse_args()
    hed.setup_logging()

    # An experiment states only its difference from another one. Everything is checked here, before any training.
    images = 8 if args.quick else 64
    teacher = hed.derive(
        "quickstart_teacher_b3",
        name="my_teacher",
        data={"sample": {"train_images": images, "val_images": images // 2}, "num_workers": 0},
        model={"image_size": [64, 64]},
        training={"epochs": 1 if args.quick else 6},
    )
    taught = hed.train(teacher, output_dir=args.results)

    # The student is the teacher with a smaller encoder, and a distillation section that names the teacher's checkpoint.
    # temperature: how soft the teacher's soft labels are; alpha: the share of the loss that they make up, 0.7 of 1.
    student = hed.derive(
        teacher,
        name="my_student",
        model={"encoder": "timm-efficientnet-b0"},
        distillation={"teacher_checkpoint": taught.best_checkpoint, "temperature": 2.0, "alpha": 0.7},
    )
    result = hed.train(student, output_dir=args.results)

    for title, run in (("teacher", taught), ("student", result)):
        print(f"{title}: mIoU {run.metrics['miou']:.4f}, {run.total_parameters / 1e6:.1f} million parameters")
    (exported,) = hed.export("my_student", output_dir=args.results)
    print(f"ONNX: {exported.destination.onnx}, largest difference {exported.report.max_difference:.1g}")


if __name__ == "__main__":
    main()
