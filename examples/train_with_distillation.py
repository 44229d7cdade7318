"""Distillation from Python, step by step: a large model, a small one that learns from it, and the file that you ship.

    uv run python examples/train_with_distillation.py
    uv run python examples/train_with_distillation.py --data_root DIR --epochs 50 --alpha 0.5 --temperature 4

needs no data: without ``--data_root`` it draws its own images of people. Given again, it goes on where it stopped. The
command line does the same with ``run_experiments.py``; use this way when an experiment is part of a program of yours.
"""

import argparse
from pathlib import Path
from typing import Any

import human_edge_detection as hed


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="Train a teacher, then a student distilled from it, and export it.")
    parser.add_argument("--config", default="quickstart_student_b0", help="experiment or YAML file (%(default)s)")
    parser.add_argument("--data_root", help="folder that `hed prepare-data` made (default: drawn images)")
    parser.add_argument("--epochs", type=int, help="of both (default: 6; as many as the config says with --data_root)")
    parser.add_argument("--alpha", type=float, default=0.7, help="share of the teacher, 0 to 1 (%(default)s)")
    parser.add_argument("--temperature", type=float, default=2.0, help="softness of its answers, above 0 (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/train_with_distillation"), help="%(default)s")
    parser.add_argument("--quick", action="store_true", help="so few images that only the machinery is tried")
    return parser.parse_args()


def common_changes(args: argparse.Namespace) -> dict[str, Any]:
    """What both experiments change of the one that they start from: the data, and how long they train."""
    if args.data_root is not None:
        changes: dict[str, Any] = {"data": {"root": args.data_root, "sample": None}}
    else:
        images = 8 if args.quick else 64
        sample = {"train_images": images, "val_images": images // 2}
        changes = {"data": {"sample": sample, "num_workers": 0}, "model": {"image_size": [64, 64]}}
    epochs = args.epochs if args.data_root else args.epochs or (1 if args.quick else 6)
    return changes if epochs is None else {**changes, "training": {"epochs": epochs}}


def main() -> None:
    """Trains both, says what the small one is worth, and exports it."""
    args = arguments()
    hed.setup_logging()

    # Step 1. An experiment states only its difference from another one, and is checked here, before any training:
    # a misspelt field or an alpha of 7 ends the program now, not after an hour. The teacher's checkpoint comes later.
    distillation = {"teacher_checkpoint": "teacher.pth", "temperature": args.temperature, "alpha": args.alpha}
    student = hed.derive(args.config, name="my_student", **common_changes(args), distillation=distillation)
    # The teacher is the same model with a larger encoder; it learns from the truth alone.
    teacher = hed.derive(student, name="my_teacher", model={"encoder": "timm-efficientnet-b3"}, distillation=None)

    # Step 2. The teacher first. A run that is finished is not trained again: what it found is read from its folder.
    print("step 2 of 4: the teacher")
    taught = hed.train(teacher, output_dir=args.output)

    # Step 3. The student learns from the truth and from the teacher: loss = alpha * (what the teacher says) +
    # (1 - alpha) * (the truth). The temperature divides the logits of both before they are compared: above 1, the
    # classes that the teacher thinks unlikely count for more, and that is what it knows and the truth does not say.
    print("step 3 of 4: the student")
    changes = {"distillation.teacher_checkpoint": taught.best_checkpoint}
    result = hed.train(student, changes=changes, output_dir=args.output)
    for title, run in (("teacher", taught), ("student", result)):
        print(f"{title}: mIoU {run.metrics['miou']:.4f}, {run.total_parameters / 1e6:.1f} million parameters")

    # Step 4. The file for the device. It is written only if it says what PyTorch says, on images of the validation set.
    print("step 4 of 4: ONNX")
    (exported,) = hed.export(result.best_checkpoint)
    print(f"ONNX: {exported.destination.onnx}, largest difference {exported.report.max_difference:.1g}")
    print("try it: hed predict IMAGE... --model", exported.destination.onnx)


if __name__ == "__main__":
    try:
        main()
    except hed.HumanEdgeDetectionError as error:
        raise SystemExit(f"error: {error}") from None
