import pickle

import cv2
import numpy as np
import pytest
import torch
from augmentations import only
from pipelines import transform, write_pipeline
from plain_people import octagon, person, write_people

from human_edge_detection.data.annotations.coco import read_annotations
from human_edge_detection.data.dataset import PersonDataset, collate
from human_edge_detection.data.views.augment import FILL_COLOR
from human_edge_detection.errors import DataError
from human_edge_detection.experiments.schema.data import AugmentationConfig, CopyPasteConfig
from human_edge_detection.files.data_folder import find_splits


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def make_dataset(write_coco):
    def make(edit=lambda data: None, **changes):
        options = {"image_size": (30, 40), "mask_size": (10, 10), "augmentation": None, "max_rois": None, "seed": 0}
        return PersonDataset(read_annotations(*write_coco(edit)), **options | changes)

    return make


def test_sample_without_augmentation_is_the_image(make_dataset):
    dataset = make_dataset()
    sample = dataset[(0, 0)]
    stored = cv2.imread(str(dataset.people.images_dir / "a.png"))
    assert stored is not None
    record = stored[..., ::-1]
    np.testing.assert_array_equal(sample.image, record.transpose(2, 0, 1))
    assert sample.image.dtype == np.uint8
    np.testing.assert_allclose(sample.boxes, [[4 / 40, 4 / 30, 14 / 40, 14 / 30], [10 / 40, 8 / 30, 20 / 40, 18 / 30]])
    assert sample.image_id == 7
    assert sample.annotation_ids == (1, 2)


def test_target_wins_where_persons_overlap(make_dataset):
    for mask in make_dataset()[(0, 0)].roi_masks:  # each box is filled by its person, the other one reaches into it
        np.testing.assert_array_equal(mask, np.ones((10, 10), np.uint8))


def test_roi_mask_tells_target_others_crowd_and_background_apart(make_dataset):
    def edit(data):
        data["annotations"][0]["bbox"] = [0, 4, 20, 10]

    mask = make_dataset(edit, mask_size=(10, 20))[(0, 0)].roi_masks[0]
    expected = np.zeros((10, 20), np.uint8)
    expected[:, 12:] = 255
    expected[4:, 14:] = 2
    expected[:, 4:14] = 1
    np.testing.assert_array_equal(mask, expected)


def test_person_mask_marks_crowds_that_no_person_covers(make_dataset):
    mask = make_dataset()[(0, 0)].person_mask
    expected = np.zeros((30, 40), np.uint8)
    expected[:, 12:24] = 255
    expected[4:14, 4:14] = 1
    expected[8:18, 10:20] = 1
    np.testing.assert_array_equal(mask, expected)


def test_outside_of_the_image_is_ignored_and_hidden_persons_are_dropped(make_dataset):
    zoomed_out = only(scale=(0.5, 0.5))
    sample = make_dataset(augmentation=zoomed_out)[(0, 0)]
    assert (sample.person_mask[:5] == 255).all() and (sample.person_mask[:, :8] == 255).all()
    np.testing.assert_allclose(sample.boxes[0] * [40, 30, 40, 30], [12, 9.5, 17, 14.5], atol=1.01)
    far = only(scale=(3.9, 3.9))
    sample = make_dataset(augmentation=far)[(0, 0)]
    assert len(sample.boxes) == len(sample.roi_masks) == len(sample.annotation_ids) < 2


def test_max_rois_draws_anew_each_epoch_and_always_the_same_for_a_key(make_dataset):
    dataset = make_dataset(max_rois=1)
    drawn = [dataset[(epoch, 0)].annotation_ids for epoch in range(20)]
    assert set(drawn) == {(1,), (2,)}
    assert drawn == [make_dataset(max_rois=1)[(epoch, 0)].annotation_ids for epoch in range(20)]


def test_augmented_samples_depend_on_their_key_only(make_dataset):
    dataset, again = make_dataset(augmentation=AugmentationConfig()), make_dataset(augmentation=AugmentationConfig())
    wanted = dataset[(2, 0)]
    again[(0, 0)]
    for a, b in zip(wanted, again[(2, 0)], strict=True):
        np.testing.assert_array_equal(a, b)
    assert (wanted.image != dataset[(3, 0)].image).any()


def test_box_jitter_moves_boxes_and_their_masks(make_dataset):
    still = only()
    jittered = only(box_jitter=0.3)
    plain, moved = make_dataset(augmentation=still)[(0, 0)], make_dataset(augmentation=jittered)[(0, 0)]
    np.testing.assert_allclose(plain.boxes, make_dataset()[(0, 0)].boxes, atol=1e-6)
    assert np.abs(moved.boxes - plain.boxes).max() > 0.01
    assert (moved.roi_masks != plain.roi_masks).any()


def test_image_of_another_size_names_both(make_dataset):
    dataset = make_dataset()
    cv2.imwrite(str(dataset.people.images_dir / "a.png"), np.zeros((40, 30, 3), np.uint8))
    with pytest.raises(DataError, match=r"a\.png is 30 x 40 .* says 40 x 30"):
        dataset[(0, 0)]


def test_collate_keeps_order_and_counts(make_dataset):
    dataset = make_dataset()
    batch = collate([dataset[(0, 1)], dataset[(0, 0)]])
    assert batch.images.shape == (2, 3, 30, 40)
    assert batch.rois.dtype == torch.float32
    assert batch.rois[:, 0].tolist() == [1, 1]
    assert batch.roi_masks.shape == (2, 10, 10) and batch.roi_masks.dtype == torch.uint8
    assert batch.person_masks.shape == (2, 30, 40) and batch.person_masks.dtype == torch.uint8
    assert batch.image_ids == (8, 7)
    assert batch.annotation_ids == (1, 2)


def test_a_batch_has_the_box_of_every_person_however_few_rois_there_are(make_dataset):
    everyone = make_dataset()[(0, 0)]
    assert len(everyone.boxes) == 2
    np.testing.assert_array_equal(everyone.person_boxes, everyone.boxes)
    jittered = only(box_jitter=0.3)
    for dataset in (make_dataset(max_rois=1), make_dataset(max_rois=1, augmentation=jittered)):
        batch = collate([dataset[(0, 1)], dataset[(0, 0)]])
        assert len(batch.rois) == 1
        assert batch.person_boxes is not None
        assert batch.person_boxes.shape == (2, 2, 4)
        assert not batch.person_boxes[0].any()
        np.testing.assert_allclose(batch.person_boxes[1], everyone.boxes, atol=1e-6)


def test_collate_without_any_person(make_dataset):
    batch = collate([make_dataset()[(0, 1)]])
    assert batch.person_boxes is not None
    assert batch.person_boxes.shape == (1, 1, 4) and not batch.person_boxes.any()
    assert batch.rois.shape == (0, 5) and batch.rois.dtype == torch.float32
    assert batch.roi_masks.shape == (0, 10, 10) and batch.roi_masks.dtype == torch.uint8
    assert batch.annotation_ids == ()


def test_a_teacher_sees_the_same_view_with_more_detail(make_dataset):
    zoomed = only(horizontal_flip=0.5, scale=(0.8, 1.2), translate=0.1, rotate=10.0, color=0.2, box_jitter=0.1)
    dataset = make_dataset(augmentation=zoomed, image_size=(15, 20), teacher_size=(60, 80))
    plain = make_dataset(augmentation=zoomed, image_size=(15, 20))
    samples = [dataset[(3, 0)], dataset[(3, 1)]]
    batch, without = (
        made.to(torch.device("cpu")) for made in (collate(samples), collate([plain[(3, 0)], plain[(3, 1)]]))
    )
    assert batch.teacher_images is not None
    assert batch.teacher_images.shape == (2, 3, 60, 80)
    assert without.teacher_images is None
    assert torch.equal(batch.images, without.images)
    shrunk = torch.nn.functional.interpolate(batch.teacher_images, (15, 20), mode="area")
    torch.testing.assert_close(shrunk, batch.images, atol=0.2, rtol=0.0)
    assert (shrunk - batch.images).abs().mean() < 0.03


@pytest.fixture
def by_pipeline(tmp_path):
    def augmentation(*transforms, **changes):
        file = write_pipeline(tmp_path / "pipeline.json", *transforms)
        return only(pipeline=str(file), **changes)

    return augmentation


def test_a_pipeline_that_does_nothing_gives_the_sample_of_validation(make_dataset, by_pipeline):
    plain, made = make_dataset()[(0, 0)], make_dataset(augmentation=by_pipeline(transform("NoOp")))[(0, 0)]
    assert made.matrix is None
    for name in ("image", "boxes", "roi_masks", "person_mask", "person_boxes"):
        np.testing.assert_array_equal(getattr(made, name), getattr(plain, name))
    assert made.annotation_ids == plain.annotation_ids


def test_a_pipeline_may_move_persons_out_and_what_the_image_does_not_reach_is_ignored(make_dataset, by_pipeline):
    down = transform("Affine", translate_px={"x": [0, 0], "y": [18, 18]})
    sample = make_dataset(augmentation=by_pipeline(down))[(0, 0)]
    assert (sample.person_mask[:18] == 255).all()
    # Of the first person rows 22 to 31 of 30 are left, of the second rows 26 and on.
    np.testing.assert_allclose(sample.boxes * [40, 30, 40, 30], [[4, 22, 14, 30], [10, 26, 20, 30]], atol=1e-4)
    far = transform("Affine", translate_px={"x": [26, 26], "y": [0, 0]})
    sample = make_dataset(augmentation=by_pipeline(far))[(0, 0)]
    assert sample.annotation_ids == (1, 2)
    np.testing.assert_allclose(sample.boxes[0] * 40, [30, 4 * 4 / 3, 40, 14 * 4 / 3], atol=1e-4)
    gone = transform("Affine", translate_px={"x": [36, 36], "y": [0, 0]})
    sample = make_dataset(augmentation=by_pipeline(gone))[(0, 0)]
    assert (sample.annotation_ids, sample.boxes.shape, sample.person_boxes.shape) == ((), (0, 4), (0, 4))


def test_a_pipeline_may_change_the_size_of_the_image(make_dataset, by_pipeline):
    crop = transform("Crop", x_min=4, y_min=4, x_max=24, y_max=14)
    sample = make_dataset(augmentation=by_pipeline(crop), teacher_size=(60, 80))[(0, 0)]
    np.testing.assert_allclose(sample.boxes, [[0, 0, 0.5, 1], [0.3, 0.4, 0.8, 1]], atol=1e-6)
    assert sample.image.shape == (3, 30, 40)
    assert sample.teacher_image is not None and sample.teacher_image.shape == (3, 60, 80)
    large = cv2.resize(sample.teacher_image.transpose(1, 2, 0), (40, 30), interpolation=cv2.INTER_AREA)
    assert np.abs(large.transpose(2, 0, 1).astype(int) - sample.image).mean() < 4


def test_boxes_are_jittered_beside_a_pipeline_and_rois_are_chosen(make_dataset, by_pipeline):
    dataset = make_dataset(augmentation=by_pipeline(transform("NoOp"), box_jitter=0.3), max_rois=1)
    samples = [dataset[(epoch, 0)] for epoch in range(8)]
    assert {sample.annotation_ids for sample in samples} == {(1,), (2,)}
    assert len({sample.boxes.tobytes() for sample in samples}) == 8
    assert all(len(sample.person_boxes) == 2 for sample in samples)


def test_a_pipeline_that_cannot_take_an_image_names_it(make_dataset, by_pipeline):
    dataset = make_dataset(augmentation=by_pipeline(transform("RandomCrop", height=35, width=35)))
    with pytest.raises(DataError, match=r"^a\.png \(40 x 30\): data\.augmentation\.pipeline .*Crop size"):
        dataset[(0, 0)]


@pytest.mark.parametrize("key", [(0, 1), (1, 4), (2, 6)])
def test_a_pipeline_and_the_built_in_view_of_the_same_change_agree(sample_root, by_pipeline, key):
    """The two ways hold each other: one warps masks of all pixels, the other fills outlines."""
    built_in = only(horizontal_flip=0.5, scale=(0.8, 1.25), rotate=15.0)  # Affine rounds shifts to whole pixels
    people = read_annotations(*find_splits(sample_root)[0])

    def sample(augmentation):
        dataset = PersonDataset(
            people, image_size=(96, 128), mask_size=(28, 20), augmentation=augmentation, max_rois=None, seed=3
        )
        return dataset[key]

    expected = sample(built_in)
    record = people.images[key[1]]
    assert expected.matrix is not None
    # From pixels to pixels around the centre: a flip, then a rotation with a scale.
    linear = np.diag([record.width, record.height]) @ expected.matrix[:2, :2]
    is_flipped = np.linalg.det(linear) < 0
    linear = linear @ np.diag([-1.0 if is_flipped else 1.0, 1.0])
    scale, angle = np.hypot(*linear[0]), np.degrees(np.arctan2(linear[0, 1], linear[0, 0]))
    affine = transform(
        "Affine",
        scale=[scale, scale],
        rotate=[angle, angle],
        fill=list(FILL_COLOR),
    )
    pipeline = by_pipeline(*([transform("HorizontalFlip")] if is_flipped else []), affine)
    made = sample(pipeline)
    assert made.annotation_ids == expected.annotation_ids
    np.testing.assert_allclose(made.boxes * [128, 96, 128, 96], expected.boxes * [128, 96, 128, 96], atol=1.5)
    assert (made.person_mask != expected.person_mask).mean() < 0.01
    assert (made.roi_masks != expected.roi_masks).mean() < 0.08  # their boxes are up to a pixel apart
    assert np.abs(made.image.astype(int) - expected.image).mean() < 4


@pytest.fixture
def make_pasted(tmp_path):
    """A dataset of three images of a colour with a person each: ids 3, 4, 5 on images 1, 2, 3."""

    def make(copy_paste, augmentation=only, **changes):
        entries = [person(number, number, octagon(50, 20, 50 + 10 * number, 100)) for number in (3, 4, 5)]
        for number, entry in enumerate(entries, 1):
            entry["image_id"] = number
        people = write_people(tmp_path, entries, [(200, 0, 0), (0, 200, 0), (0, 0, 200)])
        options = {"image_size": (60, 80), "mask_size": (24, 16), "max_rois": None, "seed": 3}
        return PersonDataset(people, augmentation=augmentation(copy_paste=copy_paste), **options | changes)

    return make


KEYS = [(epoch, index) for epoch in range(6) for index in range(3)]


def test_copy_paste_changes_no_other_random_number(make_pasted):
    """Neither view nor colours: only what is pasted, and about it."""

    def views(**changes):
        return only(horizontal_flip=0.5, scale=(0.8, 1.25), translate=0.1, rotate=10.0, box_jitter=0.1, **changes)

    plain, pasted = make_pasted(None, views), make_pasted(CopyPasteConfig(), views)
    seen = 0
    for key in KEYS:
        one, other = plain[key], pasted[key]
        np.testing.assert_array_equal(one.matrix, other.matrix)
        if other.pasted is None:
            assert equal(one, other)
            continue
        seen += 1
        rest = cv2.dilate(other.pasted, np.ones((3, 3), np.uint8)) == 0
        np.testing.assert_array_equal(one.image[:, rest], other.image[:, rest])
        np.testing.assert_array_equal(one.person_mask[rest], other.person_mask[rest])
        assert (other.person_mask[other.pasted == 1] == 1).all()
    assert 4 < seen < 14


def test_a_sample_with_pasted_persons_depends_on_its_key_only(make_pasted):
    dataset = make_pasted(CopyPasteConfig(), AugmentationConfig, cache_views=2)
    elsewhere = pickle.loads(pickle.dumps(dataset))
    forwards, backwards = [dataset[key] for key in KEYS], [elsewhere[key] for key in reversed(KEYS)][::-1]
    assert all(map(equal, forwards, backwards))
    first, second, third = forwards[:3], forwards[3:6], forwards[6:9]
    assert all(map(equal, first, third)) and not any(map(equal, first, second))


def test_pasted_persons_are_persons_as_all_others(make_pasted):
    """Boxes, rois, masks and ids; the image shows them in the colour of their own."""
    dataset = make_pasted(CopyPasteConfig(probability=1.0, max_persons=1), teacher_size=(120, 160))
    others = 0
    for key in KEYS:
        sample = dataset[key]
        own = sample.image_id + 2
        assert sample.teacher_image is not None and sample.pasted is not None
        assert sample.annotation_ids[-1] in {3, 4, 5} - {own}
        assert len(sample.boxes) == len(sample.roi_masks) == len(sample.person_boxes) == len(sample.annotation_ids)
        donor = sample.annotation_ids[-1] - 3
        for image in (sample.image, sample.teacher_image):
            shown = image[donor] > 100
            mask = cv2.resize(sample.pasted, shown.shape[::-1], interpolation=cv2.INTER_NEAREST) == 1
            assert (shown & mask).sum() / (shown | mask).sum() > 0.9
        others += (sample.roi_masks == 2).any()
    assert others > len(KEYS) / 2  # each of the two is in the other's roi, if their outlines reach that far


def test_most_rois_count_pasted_persons_too(make_pasted):
    dataset = make_pasted(CopyPasteConfig(probability=1.0, max_persons=4), max_rois=2)
    samples = [dataset[key] for key in KEYS]
    assert max(len(sample.person_boxes) for sample in samples) > 2
    assert max(len(sample.boxes) for sample in samples) == 2
    own = [sample.image_id + 2 in sample.annotation_ids for sample in samples]
    assert any(own) and not all(own)  # drawn among all
