"""Parts of soft labels: where each image lies."""

from human_edge_detection.engine.teaching.soft_label_parts import (
    PART,
    all_parts,
    images_of,
    part_file,
    parts_of_view,
    place_of,
)


def test_every_image_lies_in_one_place() -> None:
    images = 2 * PART + 3
    places = [place_of(index) for index in range(images)]
    assert places == [(number, position) for number in range(3) for position in range(len(images_of(number, images)))]
    assert parts_of_view(images) == 3
    assert list(all_parts(images, 2)) == [(view, number) for view in range(2) for number in range(3)]
    assert part_file(1, 2) == "view_0001/part_00002.safetensors"
