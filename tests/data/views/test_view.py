from dataclasses import replace
from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest
from augmentations import only
from plain_views import iou, mask_boxes, plain_view
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.annotations.polygons_and_rle import PlacedMask, decode_mask
from human_edge_detection.data.dataset import Scene, person_mask, read_scene, roi_masks
from human_edge_detection.data.drawn.data_set import write_drawn_data
from human_edge_detection.data.views.augment import FILL_COLOR, View, draw_view
from human_edge_detection.data.views.copy_paste import CopyPaste
from human_edge_detection.data.views.view import PeopleInView, view_images
from human_edge_detection.data.views.warp import scaling, translation, warp
from human_edge_detection.experiments.schema.data import AugmentationConfig, CopyPasteConfig
from human_edge_detection.files.data_folder import find_splits
from human_edge_prediction.boxes import fit_boxes
from human_edge_prediction.resampling import resize

MASK = (160, 120)
IMAGE = (128, 128)
STILL = only()
ORDINARY = 32 * 32
"""Pixels of a box; below it COCO calls a person small, and a pixel more or less of its mask is a percent."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """People on 16 drawn images of 360 x 480: polygons, run lengths and crowds."""
    root = tmp_path_factory.mktemp("views") / "people"
    return read_annotations(
        *find_splits(write_drawn_data(root, train_images=16, val_images=2, image_size=(360, 480), seed=5))[0]
    )


@pytest.fixture
def small(write_coco):
    return read_annotations(*write_coco())


def extent(record):
    return np.array([record.width, record.height] * 2)


def look(people, index, augmentation, seed=0):
    """An image, a view of it, the people in it, and the same made at full size."""
    record = people.images[index]
    view = draw_view(augmentation, (record.height, record.width), np.random.default_rng((seed, index)))
    scene = plain_view(read_scene(people, record), view)
    return record, view, PeopleInView(record, view.matrix), scene


@pytest.mark.parametrize(
    ("augmentation", "roi_iou", "person_iou", "box"),
    [(STILL, 0.975, 0.975, 0.4), (AugmentationConfig(), 0.955, 0.965, 0.7)],
)
def test_masks_and_boxes_are_as_at_full_size(drawn, augmentation, roi_iou, person_iou, box):
    """What is left is mostly what the exact path loses, by rounding people to pixels of the image: see below."""
    roi_ious, person_ious, areas, distances = [], [], [], []
    for index, seed in product(range(len(drawn.images)), range(2)):
        record, _, shown, scene = look(drawn, index, augmentation, seed)
        expected, got = mask_boxes([person.mask for person in scene.persons]), shown.boxes * extent(record)
        seen = expected[:, 2] > 0
        np.testing.assert_array_equal(got[:, 2] > 0, seen)
        distances += np.abs(expected - got)[seen].max(axis=1).tolist()
        seen &= (expected[:, 2] - expected[:, 0]) * (expected[:, 3] - expected[:, 1]) >= ORDINARY
        numbers = np.flatnonzero(seen)
        boxes = fit_boxes(expected[seen], scene.ignored.shape)
        exact, ours = roi_masks(scene, boxes, numbers, MASK), shown.roi_masks(boxes / extent(record), numbers, MASK)
        roi_ious += [iou(a == 1, b == 1) for a, b in zip(exact, ours, strict=True)]
        areas += [(b == 1).sum() / (a == 1).sum() for a, b in zip(exact, ours, strict=True)]
        assert all((a == b).mean() > 0.95 for a, b in zip(exact, ours, strict=True))
        one, other = person_mask(scene, IMAGE), shown.person_mask(IMAGE)
        person_ious.append(iou(one == 1, other == 1))
        assert ((one == 255) == (other == 255)).mean() > 0.99
    assert len(roi_ious) > 50
    assert np.mean(roi_ious) > roi_iou and min(roi_ious) > 0.87
    assert np.mean(person_ious) > person_iou and min(person_ious) > 0.9
    assert abs(np.mean(areas) - 1) < 0.01
    assert np.mean(distances) < box


@pytest.mark.parametrize("augmentation", [STILL, AugmentationConfig()], ids=["identity", "random"])
def test_polygons_are_followed_more_closely_than_by_masks_of_the_image(drawn, augmentation):
    """Against the same polygons on an image four times as large, both ways."""
    ours, full_size, distances = [], [], []
    for index, record in enumerate(drawn.images):
        _, view, shown, scene = look(drawn, index, augmentation)
        for number, person in enumerate(record.persons):
            if not (isinstance(person.segmentation, list) and scene.persons[number].mask.any()):
                continue
            polygons = [[4 * value for value in polygon] for polygon in person.segmentation]
            large = decode_mask(polygons, 4 * record.height, 4 * record.width)
            white = np.repeat(large[:, :, None], 3, axis=2)
            whole = Scene(white, (PlacedMask(large, 0, 0),), np.zeros_like(large))
            fine = plain_view(whole, replace(view, matrix=view.matrix @ scaling(1 / 4, 1 / 4)))
            seen: Any = mask_boxes([person.mask for person in fine.persons]) / 4
            distances.append(np.abs(shown.boxes[number] * extent(record) - seen[0]).max())
            box = fit_boxes(seen, (record.height, record.width))
            alone, target = scene._replace(persons=(scene.persons[number],)), np.array([0])
            truth = roi_masks(fine, 4 * box, target, MASK)[0] == 1
            full_size.append(iou(roi_masks(alone, box, target, MASK)[0] == 1, truth))
            ours.append(iou(shown.roi_masks(box / extent(record), np.array([number]), MASK)[0] == 1, truth))
    assert len(ours) > 15
    assert np.mean(ours) > np.mean(full_size) + 0.01
    assert np.mean(ours) > 0.98 and min(ours) > 0.93
    assert max(distances) < 1


def test_people_lie_where_the_picture_shows_them(drawn):
    """An image that is white where a person is, and black elsewhere, gives the mask."""
    record, view, shown, _ = look(
        drawn,
        0,
        only(horizontal_flip=0.5, scale=(0.9, 1.1), translate=0.05, rotate=10.0),
        3,
    )
    scene = read_scene(drawn, record)
    anyone = np.zeros_like(scene.ignored)
    for person in scene.persons:
        person.add_to(anyone)
    anyone *= 255
    white = warp(anyone, scaling(*IMAGE[::-1]) @ view.matrix, IMAGE, (0,))
    assert iou(white > 127, shown.person_mask(IMAGE) == 1) > 0.96


def test_mirrored_people_are_mirrored(small):
    record = small.images[0]
    identity = scaling(1 / 40, 1 / 30)
    mirrored = identity @ translation(40, 0) @ scaling(-1, 1)
    plain, flipped = PeopleInView(record, identity), PeopleInView(record, mirrored)
    np.testing.assert_array_equal(plain.person_mask((30, 40))[:, ::-1], flipped.person_mask((30, 40)))
    np.testing.assert_allclose(flipped.boxes, 1 - plain.boxes[:, [2, 1, 0, 3]] * [1, -1, 1, -1] - [0, 1, 0, 1])
    box, number = plain.boxes[:1], np.array([0])
    own, other = plain.roi_masks(box, number, (10, 10)), flipped.roi_masks(flipped.boxes[:1], number, (10, 10))
    np.testing.assert_array_equal(own[:, :, ::-1], other)


def test_a_person_partly_outside_has_a_box_of_what_is_seen(small):
    view = scaling(1 / 40, 1 / 30) @ translation(-9, -9)  # the first person covers 4 to 14, the second 10, 8 to 20, 18
    shown = PeopleInView(small.images[0], view)
    np.testing.assert_allclose(shown.boxes * [40, 30, 40, 30], [[0, 0, 5, 5], [1, 0, 11, 9]], atol=1e-9)
    gone = PeopleInView(small.images[0], scaling(1 / 40, 1 / 30) @ translation(-14, -9))
    np.testing.assert_allclose(gone.boxes * [40, 30, 40, 30], [[0, 0, 0, 0], [0, 0, 6, 9]], atol=1e-9)
    far = PeopleInView(small.images[0], scaling(1 / 40, 1 / 30) @ translation(-100, 0))
    assert not far.boxes.any()
    assert (far.person_mask((30, 40)) == 255).all()


def test_people_end_where_the_image_ends(write_coco):
    """A polygon may leave the image; its pixels do not."""

    def edit(data):
        data["annotations"][0]["segmentation"] = [[-10, 4, 14, 4, 14, 14, -10, 14]]
        data["annotations"][0]["bbox"] = [0, 4, 14, 10]

    people = read_annotations(*write_coco(edit))
    shown = PeopleInView(people.images[0], scaling(1 / 80, 1 / 60) @ translation(20, 15))
    np.testing.assert_allclose(shown.boxes[0] * [80, 60, 80, 60], [20, 19, 34, 29], atol=1e-4)
    mask = shown.person_mask((60, 80))
    assert (mask[:, :20] == 255).all() and (mask[20:28, 21:33] == 1).all()
    roi = shown.roi_masks(np.array([[0.2, 0.3, 0.5, 0.5]]), np.array([0]), (12, 24))[0]
    assert (roi[:, :4] == 255).all() and (roi[3:9, 6:16] == 1).all()


def test_a_pixel_half_of_a_person_and_half_beyond_the_image_is_the_persons(write_coco):
    def edit(data):
        everything = {"size": [30, 40], "counts": [0, 1200]}  # an outline of short lines
        data["annotations"] = [data["annotations"][0] | {"segmentation": everything, "bbox": [0, 0, 40, 30]}]

    turn = np.array([[0.98, 0.2, 0.0], [-0.2, 0.98, 0.0], [0.0, 0.0, 1.0]])
    view = scaling(1 / 80, 1 / 60) @ translation(20, 15) @ turn
    shown = PeopleInView(read_annotations(*write_coco(edit)).images[0], view)
    mask, roi = shown.person_mask((60, 80)), shown.roi_masks(np.array([[0, 0, 1, 1.0]]), np.array([0]), (60, 80))[0]
    assert {*np.unique(mask).tolist()} == {1, 255} and (mask == 1).sum() > 900
    np.testing.assert_array_equal(roi == 255, mask == 255)
    assert (roi > 0).all()


# --- persons pasted into an image -------------------------------------------------------------------------------------

PIXELS = scaling(1 / 40, 1 / 30)
WHOLE_VIEW = np.array([[0.0, 0.0, 1.0, 1.0]])


def rectangle(x1, y1, x2, y2):
    return [[np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)]]


def seen_by(shown, number):
    return shown.roi_masks(WHOLE_VIEW, np.array([number]), (30, 40))[0]


def test_a_pasted_person_is_on_top_of_all_that_is_there(small):
    """The persons cover 4 to 14 and 10, 8 to 20, 18, the crowd the columns 12 to 23; 9, 4 to 19, 14 is pasted."""
    record = small.images[0]
    plain, shown = PeopleInView(record, PIXELS), PeopleInView(record, PIXELS, [rectangle(9, 4, 19, 14)])
    anyone = np.zeros((30, 40), np.uint8)
    anyone[:, 12:24] = 255
    anyone[4:14, 4:19] = anyone[8:18, 10:20] = 1
    np.testing.assert_array_equal(shown.person_mask((30, 40)), anyone)
    owned = {0: np.s_[4:14, 4:9], 2: np.s_[4:14, 9:19]}
    for number, where in owned.items():
        expected = np.where(anyone == 1, 2, anyone)
        expected[where] = 1
        np.testing.assert_array_equal(seen_by(shown, number), expected)
    below = np.where(anyone == 1, 2, anyone)
    below[8:18, 10:20] = 1
    below[4:14, 9:19] = 2
    np.testing.assert_array_equal(seen_by(shown, 1), below)
    pixels = shown.boxes * [40, 30, 40, 30]
    np.testing.assert_allclose(pixels, [[4, 4, 9, 14], [10, 8, 20, 18], [9, 4, 19, 14]], atol=0.1)
    np.testing.assert_array_equal(shown.boxes[1], plain.boxes[1])  # no side of it is hidden
    pasted = np.zeros((30, 40), np.uint8)
    pasted[owned[2]] = 1
    np.testing.assert_array_equal(shown.pasted_mask((30, 40)), pasted)


def test_of_two_pasted_persons_the_later_one_is_on_top(small):
    shown = PeopleInView(small.images[1], PIXELS, [rectangle(4, 4, 14, 14), rectangle(10, 2, 20, 12)])
    np.testing.assert_allclose(shown.boxes * [40, 30, 40, 30], [[4, 4, 14, 14], [10, 2, 20, 12]], atol=0.1)
    later = np.zeros((30, 40), np.uint8)
    later[4:14, 4:14] = 2
    later[2:12, 10:20] = 1
    np.testing.assert_array_equal(seen_by(shown, 1), later)
    earlier = np.where(later == 2, 1, 2 * later)
    np.testing.assert_array_equal(seen_by(shown, 0), earlier)


@pytest.mark.parametrize(("covered", "box"), [(7.5, [4, 11.5, 14, 14]), (8.5, [0, 0, 0, 0])])
def test_a_person_of_whom_too_little_is_left_is_dropped(small, covered, box):
    """A fifth of its rows must be left. What is left of a dropped one is still a person, for all others."""
    shown = PeopleInView(small.images[0], PIXELS, [rectangle(4, 4, 14, 4 + covered)])
    np.testing.assert_allclose(shown.boxes[0] * [40, 30, 40, 30], box, atol=0.1)
    assert (shown.person_mask((30, 40))[13, 4:10] == 1).all()
    assert (seen_by(shown, 2)[13, 4:10] == 2).all()


def test_a_pasted_person_is_known_where_an_image_is_not_exhaustive_and_what_is_beside_it_is_not(write_coco):
    def edit(data):
        not_exhaustive(data)
        data["annotations"] = data["annotations"][:1]

    record = read_annotations(*write_coco(edit)).images[0]
    diamond = [[np.array([[30, 10], [36, 16], [30, 22], [24, 16]], np.float64)]]
    shown = PeopleInView(record, PIXELS, [diamond])
    mask = shown.person_mask((30, 40))
    assert mask[16, 30] == 1 and mask[11, 25] == 255
    assert {*np.unique(mask[10:22, 24:36]).tolist()} == {1, 255}
    assert not PeopleInView(record, PIXELS).pasted_mask((30, 40)).any()


def test_pasted_persons_are_as_at_full_size(drawn):
    """Against masks of the whole image, from which those of persons pasted later are taken away."""
    augmentation = AugmentationConfig()
    copy_paste = CopyPaste(drawn, CopyPasteConfig(probability=1.0, max_persons=3), flip=0.5)
    roi_ious, person_ious, pasted_masks, distances, hidden = [], [], [], [], 0
    for index, record in enumerate(drawn.images[:6]):
        size = (record.height, record.width)
        view = draw_view(augmentation, size, np.random.default_rng((1, index)))
        pasted = copy_paste.draw(index, view.matrix, np.random.default_rng(index))
        scene = read_scene(drawn, record)
        whole = slice(0, size[0]), slice(0, size[1])
        persons = [person.within(*whole) for person in scene.persons]
        for person in pasted:
            fine = np.zeros((8 * size[0], 8 * size[1]), np.uint8)
            for part in person.shape:
                cv2.fillPoly(fine, [np.rint(8 * outline - 0.5).astype(np.int32) for outline in part], 255)
            mask = (cv2.resize(fine, size[::-1], interpolation=cv2.INTER_AREA) > 127).astype(np.uint8)
            persons = [*(below * (1 - mask) for below in persons), mask]
        scene = plain_view(scene._replace(persons=tuple(PlacedMask(mask, 0, 0) for mask in persons)), view)
        shown = PeopleInView(record, view.matrix, [person.shape for person in pasted])
        expected, got = mask_boxes([person.mask for person in scene.persons]), shown.boxes * extent(record)
        numbers = np.flatnonzero((got[:, 2] > 0) & (expected[:, 2] > 0))
        hidden += len(got) - len(numbers)
        distances += np.abs(expected - got)[numbers].max(axis=1).tolist()
        boxes = fit_boxes(expected[numbers], size)
        exact, ours = roi_masks(scene, boxes, numbers, MASK), shown.roi_masks(boxes / extent(record), numbers, MASK)
        roi_ious += [iou(a == label, b == label) for a, b in zip(exact, ours, strict=True) for label in (1, 2)]
        one, other = person_mask(scene, IMAGE), shown.person_mask(IMAGE)
        person_ious.append(iou(one == 1, other == 1))
        anywhere = scene._replace(persons=scene.persons[len(record.persons) :])
        pasted_masks.append((person_mask(anywhere, IMAGE) == 1, shown.pasted_mask(IMAGE) == 1))
    assert len(roi_ious) > 30 and hidden < len(roi_ious) / 8
    assert np.mean(roi_ious) > 0.94 and np.quantile(roi_ious, 0.1) > 0.88
    # Some are small: one IoU of all pixels.
    assert np.mean(person_ious) > 0.965 and iou(*map(np.concatenate, zip(*pasted_masks, strict=True))) > 0.965
    assert np.mean(distances) < 1.2


def not_exhaustive(data):
    for image in data["images"]:
        image["exhaustive"] = False


def test_outside_of_every_box_an_image_that_is_not_exhaustive_is_ignored_in_any_view(write_coco):
    """The boxes are 4 to 14 and 10 to 20, 8 to 18; each person fills a box, and a crowd covers columns 12 to 23."""
    record = read_annotations(*write_coco(not_exhaustive)).images[0]
    known = np.zeros((30, 40), bool)
    known[4:14, 4:14] = known[8:18, 10:20] = True
    shown = PeopleInView(record, scaling(1 / 40, 1 / 30))
    np.testing.assert_array_equal(shown.person_mask((30, 40)), np.where(known, 1, 255))
    flip = scaling(1 / 40, 1 / 30) @ translation(40, 0) @ scaling(-1, 1)
    np.testing.assert_array_equal(PeopleInView(record, flip).person_mask((30, 40)), np.where(known, 1, 255)[:, ::-1])
    roi = shown.roi_masks(np.array([[0.0, 0.0, 1.0, 1.0]]), np.array([0]), (30, 40))[0]
    np.testing.assert_array_equal(roi == 255, ~known)


def test_what_is_in_a_box_beside_the_person_is_background_where_an_image_is_not_exhaustive(write_coco):
    def edit(data):
        not_exhaustive(data)
        data["annotations"] = [{**data["annotations"][0], "bbox": [3.5, 2, 13.5, 16]}]  # to 17, 18

    record = read_annotations(*write_coco(edit)).images[0]
    mask = PeopleInView(record, scaling(1 / 40, 1 / 30)).person_mask((30, 40))
    expected = np.full((30, 40), 255, np.uint8)
    expected[2:18, 3:17], expected[4:14, 4:14] = 0, 1
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("edit", [lambda data: None, not_exhaustive])
def test_the_identity_is_the_exact_path_where_pixels_are_whole(write_coco, index, edit):
    """Squares of whole pixels, a crowd as run lengths, and an image without anybody."""
    small = read_annotations(*write_coco(edit))
    record = small.images[index]
    scene = read_scene(small, record)
    shown = PeopleInView(record, scaling(1 / 40, 1 / 30))
    np.testing.assert_array_equal(shown.person_mask((30, 40)), person_mask(scene, (30, 40)))
    boxes = np.array([person.box for person in record.persons], np.float64).reshape(-1, 4)
    np.testing.assert_allclose(shown.boxes * [40, 30, 40, 30], boxes, atol=1e-9)
    wide = fit_boxes((boxes + np.array([-4, -4, 8, 8])).astype(np.float32), (30, 40))
    numbers = np.arange(len(boxes))
    exact = roi_masks(scene, wide, numbers, (44, 44))
    # At twice the size the corners of run lengths are cut off, as a mask that is interpolated has them.
    assert (shown.roi_masks(wide / extent(record), numbers, (44, 44)) != exact).sum() <= 2


def test_an_image_has_the_size_it_is_asked_for_and_its_colours(drawn):
    record = drawn.images[0]
    identity = scaling(1 / record.width, 1 / record.height)
    (image,) = view_images(drawn, record, View(identity, None, 0.0), [IMAGE])
    expected = resize(read_scene(drawn, record).image, IMAGE)
    difference = np.abs(image.astype(float) - expected)
    assert difference.mean() < 1.5 and np.sqrt((difference**2).mean()) < 3


def test_what_a_view_shows_beside_the_image_has_the_fill_colour(drawn):
    record = drawn.images[0]
    matrix = translation(0.5, 0) @ scaling(1 / record.width, 1 / record.height)
    (image,) = view_images(drawn, record, View(matrix, None, 0.0), [IMAGE])
    assert (image[:, : IMAGE[1] // 2 - 1] == FILL_COLOR).all()


def test_large_images_are_decoded_smaller_with_little_loss(write_coco):
    """The blocks of a JPEG that is much larger than the answer; the same geometry, to a fraction of a pixel."""
    height, width = 720, 962  # no multiples of eight

    def edit(data):
        data["images"][0].update(file_name="a.jpg", width=width, height=height)
        data["annotations"] = [entry for entry in data["annotations"] if entry["id"] == 1]
        noise = np.random.default_rng(0).integers(0, 256, (45, 60, 3), np.uint8)
        large = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "a.jpg"), large, [cv2.IMWRITE_JPEG_QUALITY, 95])

    folder = write_coco()[1]
    people = read_annotations(*write_coco(edit))
    record = people.images[0]
    full = read_scene(people, record).image
    identity = scaling(1 / width, 1 / height)
    for size in ((120, 160), (60, 80), (30, 40)):  # decoded at 1/2, 1/4 and 1/4
        (image,) = view_images(people, record, View(identity, None, 0.0), [size])
        error = np.sqrt(((image.astype(float) - resize(full, size)) ** 2).mean())
        assert error < 8
        shifted = translation(0.5 / size[1], 0) @ identity
        (image,) = view_images(people, record, View(shifted, None, 0.0), [size])
        assert np.sqrt(((image.astype(float) - resize(full, size)) ** 2).mean()) > 1.2 * error


def test_a_blur_is_as_wide_on_the_image_whatever_the_size(drawn):
    record = drawn.images[1]
    identity = scaling(1 / record.width, 1 / record.height)
    blurred = view_images(drawn, record, View(identity, None, 6.0), [IMAGE, (360, 480)])
    plain = cv2.GaussianBlur(read_scene(drawn, record).image, (0, 0), 6.0)
    assert np.abs(blurred[1].astype(int) - plain).max() <= 1
    assert np.abs(blurred[0].astype(float) - resize(plain, IMAGE)).mean() < 1


def test_run_lengths_and_polygon_of_the_same_person_agree(write_coco):
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    outline = np.stack([20 + 9 * np.cos(angles), 15 + 11 * np.sin(angles)], axis=1)
    polygon = [outline.ravel().tolist()]
    runs = coco_mask.encode(np.asfortranarray(decode_mask(polygon, 30, 40)))
    rle = {"size": [30, 40], "counts": runs["counts"].decode()}

    def edit(data):
        data["annotations"] = data["annotations"][:2]
        for entry, segmentation in zip(data["annotations"], (polygon, rle), strict=True):
            entry.update(bbox=[11, 4, 18, 22], segmentation=segmentation)

    people = read_annotations(*write_coco(edit))
    view = draw_view(AugmentationConfig(), (30, 40), np.random.default_rng(8))
    shown = PeopleInView(people.images[0], view.matrix)
    assert np.abs(shown.boxes[0] - shown.boxes[1]).max() * 40 < 1
    masks = shown.roi_masks(shown.boxes[[0, 0]], np.array([0, 1]), (160, 120))
    assert iou(masks[0] == 1, masks[1] == 1) > 0.96
