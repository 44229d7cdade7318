import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_views import iou, mask_boxes
from pycocotools import mask as coco_mask

from human_edge_detection.data.annotations.columns import PersonAnnotation
from human_edge_detection.data.annotations.polygons_and_rle import decode_mask
from human_edge_detection.data.views.rasterize import FULL, ShapeSet, for_painting, shape_of
from human_edge_detection.data.views.warp import scaling, transform, translation

SIZE = (60, 80)
UNIT = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])


def shape_set(segmentation):
    """Of one person on an image of ``SIZE`` whose run lengths are still to be traced."""
    polygons = segmentation if isinstance(segmentation, list) else []
    outlines = tuple(np.reshape(polygon, (-1, 2)).astype(float) for polygon in polygons)
    return ShapeSet([shape_of(PersonAnnotation(1, (0.0, 0.0, 1.0, 1.0), segmentation, outlines, False), *SIZE)])


def painted(segmentation, matrix=None, size=SIZE):
    shapes = shape_set(segmentation)
    return shapes.paint([0], for_painting(shapes.map(np.eye(3) if matrix is None else matrix)), size)


def box_of(shapes, matrix):
    """What is seen of the only shape through the unit square; None: nothing."""
    box = shapes.boxes(1, shapes.map(matrix), UNIT)[0]
    return box if (box[:2] <= box[2:]).all() else None


def as_runs(mask):
    runs = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": runs["counts"].decode()}


def square(x1, y1, x2, y2):
    return [x1, y1, x2, y1, x2, y2, x1, y2]


@pytest.fixture
def blob():
    """A figure with a hole, a notch, a lone pixel, a part touched by a corner, and contact with the border."""
    mask = np.zeros(SIZE, np.uint8)
    mask[0:30, 10:50] = 1
    mask[8:20, 20:36] = 0
    mask[24:30, 30:34] = 0
    mask[30:36, 50:60] = 1
    mask[50, 70] = 1
    mask[40:60, 60:80] |= np.tri(20, 20, dtype=np.uint8)
    return mask


def test_a_square_of_whole_pixels_covers_these():
    plane = painted([square(10, 5, 30, 25)], scaling(8, 8), (480, 640))
    means = cv2.resize(plane, (80, 60), interpolation=cv2.INTER_AREA)
    expected = np.zeros(SIZE)
    expected[5:25, 10:30] = FULL
    np.testing.assert_allclose(means, expected, atol=FULL / 8 + 1)
    np.testing.assert_array_equal(means >= FULL / 2, expected > 0)


def test_the_same_square_as_polygon_and_as_run_lengths():
    mask = np.zeros(SIZE, np.uint8)
    mask[5:25, 10:30] = 1
    for matrix in (scaling(4, 4), translation(0.3, 0.7) @ scaling(4, 4), scaling(-4, 4), scaling(0.5, 0.5)):
        size = (240, 320)
        matrix = translation(320, 0) @ matrix if matrix[0, 0] < 0 else matrix
        one, other = painted([square(10, 5, 30, 25)], matrix, size), painted(as_runs(mask), matrix, size)
        assert iou(one > FULL // 2, other > FULL // 2) > 0.95
        assert abs(one.sum() - other.sum()) < 0.03 * one.sum()


def test_run_lengths_are_painted_back_as_they_were(blob):
    small = cv2.resize(painted(as_runs(blob), scaling(4, 4), (240, 320)), (80, 60), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(small > FULL // 2, blob > 0)


def test_enlarged_run_lengths_are_as_interpolated(blob):
    smooth = cv2.resize(blob * np.float32(1), (640, 480), interpolation=cv2.INTER_LINEAR)
    assert iou(painted(as_runs(blob), scaling(8, 8), (480, 640)) > FULL // 2, smooth >= 0.5) > 0.97


def test_run_lengths_at_every_border():
    mask = np.ones(SIZE, np.uint8)
    plane = painted(as_runs(mask), scaling(2, 2), (120, 160))
    assert (plane[2:-2, 2:-2] == FULL).all()
    shapes = shape_set(as_runs(mask))
    box = box_of(shapes, scaling(1 / 80, 1 / 60))
    np.testing.assert_allclose(box, [0, 0, 1, 1], atol=1e-12)


def test_overlapping_polygons_are_united_and_one_that_crosses_itself_is_not():
    both = [square(10, 10, 40, 40), square(30, 30, 60, 50)]
    expected = decode_mask(both, *SIZE)
    plane = painted(both)
    assert (plane[11:39, 11:39] >= FULL // 2).all() and (plane[32:48, 32:58] >= FULL // 2).all()
    fine = cv2.resize(painted(both, scaling(2, 2), (120, 160)), (80, 60), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(fine > FULL // 2, expected > 0)
    twice: list[list[float]] = [[10, 10, 50, 10, 50, 50, 10, 50, 10, 10, 20, 20, 40, 20, 40, 40, 20, 40, 20, 20]]
    fine = cv2.resize(painted(twice, scaling(2, 2), (120, 160)), (80, 60), interpolation=cv2.INTER_AREA)
    assert fine[30, 30] == 0 and decode_mask(twice, *SIZE)[30, 30] == 0


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 12), st.floats(0.4, 3.0))
def test_polygons_are_painted_where_exact_geometry_has_them(seed, corners, zoom):
    """Against centres of pixels tested one by one. Halves may lie a little beside an edge that leaves the plane."""
    rng = np.random.default_rng(seed)
    outline = rng.uniform(0, 60, (corners, 2))
    matrix = translation(*rng.uniform(-20, 10, 2)) @ scaling(zoom, zoom)
    plane = painted([outline.ravel().tolist()], matrix)
    mapped = transform(outline, matrix).astype(np.float32)
    for y, x in rng.integers(0, SIZE, (40, 2)):
        distance = cv2.pointPolygonTest(mapped, (float(x) + 0.5, float(y) + 0.5), measureDist=True)
        if abs(distance) > 1.0:
            # OpenCV's test has winding numbers for none but simple polygons; parity is what both mean.
            crossings = sum(
                (a[1] > y + 0.5) != (b[1] > y + 0.5)
                and x + 0.5 < a[0] + (y + 0.5 - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
                for a, b in zip(mapped.astype(float), np.roll(mapped.astype(float), -1, axis=0), strict=True)
            )
            assert plane[y, x] in (FULL if crossings % 2 else 0, 128)
            assert plane[y, x] != 128 or abs(distance) < 2


def convex_polygon_and_view(seed):
    """``(P, 2)`` in an image of ``SIZE``, and a matrix to fractions of a view."""
    rng = np.random.default_rng(seed)
    hull = cv2.convexHull(rng.uniform(-10, 90, (8, 2)).astype(np.float32))[:, 0]
    angle, zoom = rng.uniform(-0.5, 0.5), rng.uniform(0.7, 2.0)
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return hull, scaling(1 / 80, 1 / 60) @ translation(*rng.uniform(-30, 40, 2)) @ scaling(zoom, zoom) @ turn


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_boxes_of_polygons_are_those_of_what_is_seen(seed):
    hull, matrix = convex_polygon_and_view(seed)
    shapes = shape_set([hull.astype(float).ravel().tolist()])
    points = shapes.map(matrix)
    box = box_of(shapes, matrix)
    area, seen = cv2.intersectConvexConvex(points.astype(np.float32), UNIT.astype(np.float32))
    if area > 1e-6:
        np.testing.assert_allclose(box, np.concatenate([seen[:, 0].min(axis=0), seen[:, 0].max(axis=0)]), atol=1e-4)
    else:
        assert box is None or np.prod(box[2:] - box[:2]) < 1e-3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_boxes_of_run_lengths_are_those_of_what_is_seen(seed):
    """Between those of the mask, eight times as fine, made about a pixel smaller and larger all round."""
    hull, matrix = convex_polygon_and_view(seed)
    mask = cv2.fillPoly(np.zeros(SIZE, np.uint8), [hull.astype(np.int32)], 1)
    if not mask.any():
        return
    enlarged = translation(31.5, 31.5) @ scaling(640, 480) @ matrix @ scaling(1 / 8, 1 / 8) @ translation(0.5, 0.5)
    large = np.kron(mask, np.ones((8, 8), np.uint8))
    moved = cv2.warpAffine(large, enlarged[:2], (704, 544), flags=cv2.INTER_NEAREST)  # with a rim of 32 pixels
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (21, 21))
    least, most = (
        mask_boxes([change(moved, disc)[32:-32, 32:-32].astype(np.uint8)])[0] for change in (cv2.erode, cv2.dilate)
    )
    shapes = shape_set(as_runs(mask))
    box = box_of(shapes, matrix)
    if box is None:
        assert not least.any()
        return
    box *= [640, 480, 640, 480]
    assert (box[:2] >= most[:2] - 0.01).all() and (box[2:] <= most[2:] + 0.01).all()
    if least.any():
        assert (box[:2] <= least[:2] + 0.01).all() and (box[2:] >= least[2:] - 0.01).all()


def test_boxes_of_several_shapes_are_those_of_each():
    """Inside, crossing, outside, with two parts, around the whole window; all of them at once and alone."""
    rng = np.random.default_rng(0)
    window = np.array([[0.1, 0.0], [1, 0.2], [0.8, 1], [0, 0.9]])
    shapes = [[[rng.uniform(-0.5, 1.5, (corners, 2))] for _ in range(parts)] for corners, parts in ((3, 1), (9, 2))]
    shapes += [[[rng.uniform(0.3, 0.6, (4, 2))]], [[rng.uniform(2, 3, (4, 2))]], [[5 * UNIT - 2]]]
    together = ShapeSet(shapes)
    got = together.boxes(len(shapes), together.points, window)
    for box, shape in zip(got, shapes, strict=True):
        alone = ShapeSet([shape])
        np.testing.assert_allclose(alone.boxes(1, alone.points, window)[0], box, atol=1e-12)
    assert (got[3, :2] > got[3, 2:]).all()
    np.testing.assert_allclose(got[4], [0, 0, 1, 1])


def test_a_box_ends_where_the_window_cuts_a_corner_off():
    shapes = ShapeSet([[[np.array([[0.5, -1.0], [2.0, 0.5], [2.0, 2.0], [-1.0, 2.0], [0.5, 0.5]])]]])
    np.testing.assert_allclose(box_of(shapes, np.eye(3)), [0, 0, 1, 1])
    outside = ShapeSet([[[np.array([[2.0, 2.0], [3.0, 2.0], [3.0, 3.0]])]]])
    assert box_of(outside, np.eye(3)) is None
    around = ShapeSet([[[np.array([[-1.0, -1.0], [2.0, -1.0], [2.0, 2.0], [-1.0, 2.0]])]]])
    np.testing.assert_allclose(box_of(around, np.eye(3)), [0, 0, 1, 1])


def test_shapes_far_larger_than_the_plane_fit_into_opencvs_numbers():
    plane = painted([square(10, 10, 40, 40)], scaling(1e7, 1e7) @ translation(-20, -20))
    assert (plane == FULL).all()


def test_what_lies_beside_the_plane_does_not_show_at_its_border():
    for beside in (
        square(-40, -40, -1, 100),
        square(81, -40, 99, 100),
        square(-40, 61, 99, 80),
        square(-40, -20, 99, -1),
    ):
        assert not painted([beside]).any()
