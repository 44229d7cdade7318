"""Finds the persons on images with an exported model, without PyTorch: `pip install ./prediction` in a clone is enough.

    python examples/edge_inference.py best_model.onnx image.jpg another.png

Writes image_persons.png with the persons drawn on it and image_persons.json with their masks as COCO results.
"""

import json
import sys
from pathlib import Path

import cv2

from human_edge_prediction import PredictionError, Predictor, read_image


def main(model: str, *files: str) -> None:
    """Predicts on one image file after the other."""
    predictor = Predictor(model)  # size, thresholds and how boxes are found are in the file
    for number, file in enumerate(map(Path, files), start=1):
        image = read_image(file)
        persons = predictor(image)  # or predictor(image, boxes=[[x1, y1, x2, y2], ...])
        output = file.with_name(f"{file.stem}_persons.png")
        cv2.imwrite(str(output), cv2.cvtColor(persons.draw(image), cv2.COLOR_RGB2BGR))
        output.with_suffix(".json").write_text(json.dumps(persons.to_coco(image_id=number)))
        print(f"{output}: {len(persons)} persons, boxes: {persons.boxes_from}")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        sys.exit()
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except PredictionError as error:
        sys.exit(f"error: {error}")
