"""Articulated figures of the sample data: persons, and objects that look like persons (statues, mannequins)."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from human_edge_detection.data.drawn.canvas import (
    Canvas,
    Color,
    Material,
    Pattern,
    Points,
    ellipse,
    limb,
    point,
)

Pose = Literal["standing", "walking", "sitting", "arms_up"]
POSES: tuple[Pose, ...] = ("standing", "walking", "sitting", "arms_up")
PATTERNS: tuple[Pattern, ...] = ("plain", "plain", "stripes", "hoops", "checks", "dots")
_SKIN: tuple[Color, ...] = ((245, 208, 182), (228, 180, 145), (198, 144, 106), (150, 100, 70), (100, 66, 48))
_HAIR: tuple[Color, ...] = ((35, 26, 22), (70, 45, 30), (120, 80, 45), (190, 150, 90), (150, 145, 140), (130, 50, 30))
_CLOTH: tuple[Color, ...] = (
    (200, 40, 45),
    (35, 70, 160),
    (235, 190, 50),
    (45, 130, 80),
    (240, 240, 235),
    (35, 35, 42),
    (130, 60, 150),
    (240, 130, 60),
    (110, 170, 215),
    (225, 130, 165),
    (120, 95, 70),
    (60, 75, 95),
)


@dataclass(frozen=True)
class Looks:
    """Body and clothes of one figure; lengths are fractions of its height."""

    skin: Material
    hair: Material
    top: Material
    bottom: Material
    shoes: Material
    build: float
    head: float
    sleeves: Literal["long", "short"]
    lower: Literal["trousers", "shorts", "skirt"]
    coat: bool
    hair_style: Literal["short", "long", "bun", "hat"]
    turn: float
    """0: seen from the front, 1: seen from the side."""
    face: bool


@dataclass(frozen=True)
class Joints:
    """Joint positions ``(2,)``, fractions of the height from between the hips; pairs are left, right in the image."""

    chest: Points
    head: Points
    shoulders: tuple[Points, Points]
    elbows: tuple[Points, Points]
    hands: tuple[Points, Points]
    hips: tuple[Points, Points]
    knees: tuple[Points, Points]
    feet: tuple[Points, Points]


def random_looks(rng: np.random.Generator, height: float) -> Looks:
    """Random body and clothes; ``height`` in canvas pixels sets the size of patterns."""
    return Looks(
        skin=Material(_varied(rng, _SKIN), roughness=0.05),
        hair=Material(_varied(rng, _HAIR), _varied(rng, _HAIR), "stripes", 0.012 * height, roughness=0.25),
        top=_cloth(rng, height),
        bottom=replace(_cloth(rng, height), pattern="plain") if rng.random() < 0.7 else _cloth(rng, height),
        shoes=Material(_varied(rng, _CLOTH[4:6] + _CLOTH[10:]), roughness=0.1),
        build=float(rng.uniform(0.85, 1.25)),
        head=float(rng.choice([0.066, 0.066, 0.07, 0.085])),
        sleeves="short" if rng.random() < 0.5 else "long",
        lower=("trousers", "trousers", "shorts", "skirt")[rng.integers(4)],
        coat=bool(rng.random() < 0.2),
        hair_style=("short", "short", "long", "long", "bun", "hat")[rng.integers(6)],
        turn=float(rng.uniform(0, 1)) ** 2,
        face=bool(rng.random() < 0.75),
    )


def uniform_looks(looks: Looks, surface: Material) -> Looks:
    """The same body of a single material, as a statue or a mannequin."""
    return replace(
        looks, skin=surface, hair=surface, top=surface, bottom=surface, shoes=surface, hair_style="short", face=False
    )


def _varied(rng: np.random.Generator, palette: tuple[Color, ...]) -> Color:
    """A random colour of the palette, changed a little."""
    red, green, blue = np.clip(np.array(palette[rng.integers(len(palette))]) + rng.uniform(-18, 18, 3), 5, 250)
    return float(red), float(green), float(blue)


def _cloth(rng: np.random.Generator, height: float) -> Material:
    """Random cloth for a figure of this height in canvas pixels."""
    period = float(rng.uniform(0.03, 0.08)) * height
    pattern = PATTERNS[rng.integers(len(PATTERNS))]
    return Material(_varied(rng, _CLOTH), _varied(rng, _CLOTH), pattern, period, float(rng.uniform(0.1, 0.3)))


def random_joints(rng: np.random.Generator, pose: Pose, looks: Looks) -> Joints:
    """The joints of a random body in a pose, by forward kinematics: from the joint before, an angle and a length."""
    facing = float(rng.choice([-1.0, 1.0]))
    wide = 1 - 0.55 * looks.turn
    lean = np.radians(rng.uniform(-5, 5) + (6 * facing if pose == "walking" else 0))
    chest = _polar(point(0, 0), np.pi + lean, 0.30)
    head = _polar(chest, np.pi + lean * 0.5 + np.radians(rng.uniform(-8, 8)), 0.05 + looks.head)
    half_shoulder, half_hip = 0.10 * looks.build * wide, 0.052 * looks.build * wide
    shoulders = (chest + point(-half_shoulder, 0.012), chest + point(half_shoulder, 0.012))
    hips = (point(-half_hip, 0.0), point(half_hip, 0.0))
    thighs, shins, thigh_length = _leg_angles(rng, pose, facing)
    uppers, fores = _arm_angles(rng, pose, facing)
    knees = _ends(hips, thighs, 0.24 * thigh_length)
    elbows = _ends(shoulders, uppers, 0.165)
    return Joints(chest, head, shoulders, elbows, _ends(elbows, fores, 0.15), hips, knees, _ends(knees, shins, 0.23))


Pair = tuple[float, float]
"""Angles of the left and of the right limb in the image, degrees."""


def _leg_angles(rng: np.random.Generator, pose: Pose, facing: float) -> tuple[Pair, Pair, float]:
    """Angles of thighs and shins from straight down, and the length of the thighs after foreshortening, 0 to 1."""
    if pose == "walking":
        front, back = rng.uniform(14, 30) * facing, -rng.uniform(10, 26) * facing
        shins = (front - rng.uniform(0, 14) * facing, back - rng.uniform(10, 35) * facing)
        return _randomly_swapped(rng, (front, back), shins, 1.0)
    if pose == "sitting":
        if rng.random() < 0.5:  # seen from the side
            thigh = rng.uniform(68, 84) * facing
            return (thigh, thigh + 6), (rng.uniform(-12, 12), rng.uniform(-12, 12)), 0.9
        return (-rng.uniform(4, 28), rng.uniform(4, 28)), (rng.uniform(-8, 8), rng.uniform(-8, 8)), 0.45
    spread = rng.uniform(1, 12)
    return (-spread, spread), (-spread + rng.uniform(-3, 4), spread + rng.uniform(-4, 3)), 1.0


def _arm_angles(rng: np.random.Generator, pose: Pose, facing: float) -> tuple[Pair, Pair]:
    """Angles of upper arms and forearms from straight down."""
    if pose == "walking":
        front, back = rng.uniform(15, 38) * facing, -rng.uniform(15, 35) * facing
        uppers, fores, _ = _randomly_swapped(
            rng, (front, back), (front + rng.uniform(5, 60) * facing, back + 20 * facing), 1.0
        )
        return uppers, fores
    if pose == "arms_up":
        left, right = -rng.uniform(110, 165), rng.uniform(110, 165)
        fores = (left - rng.uniform(-40, 40), right + rng.uniform(-40, 40))
        if rng.random() < 0.4:  # one arm only
            return (-rng.uniform(5, 25), right), (-rng.uniform(0, 20), fores[1])
        return (left, right), fores
    if rng.random() < 0.25:  # hands on the hips
        return (-rng.uniform(32, 48), rng.uniform(32, 48)), (rng.uniform(25, 50), -rng.uniform(25, 50))
    bend = rng.uniform(0, 60) if pose == "sitting" else rng.uniform(0, 22)
    left, right = -rng.uniform(4, 22), rng.uniform(4, 22)
    return (left, right), (left + bend * rng.choice([-0.3, 1.0]), right - bend * rng.choice([-0.3, 1.0]))


def _randomly_swapped(rng: np.random.Generator, first: Pair, second: Pair, length: float) -> tuple[Pair, Pair, float]:
    """Both pairs, with left and right swapped half of the time."""
    if rng.random() < 0.5:
        return first, second, length
    return (first[1], first[0]), (second[1], second[0]), length


def _polar(start: Points, angle: float, length: float) -> Points:
    """The point at ``length`` from ``start``; ``angle`` is in radians from straight down."""
    return start + length * np.array([np.sin(angle), np.cos(angle)])


def _ends(starts: tuple[Points, Points], angles: Pair, length: float) -> tuple[Points, Points]:
    """The other ends of a left and a right limb."""
    left, right = (_polar(start, np.radians(angle), length) for start, angle in zip(starts, angles, strict=True))
    return left, right


def place(joints: Joints, feet_at: Points, height: float) -> Joints:
    """Scales joints to ``height`` canvas pixels and moves them so that the lower foot stands at ``feet_at``."""
    lowest = max(joints.feet[0][1], joints.feet[1][1]) + 0.02

    def moved(joint: Points) -> Points:
        return feet_at + (joint - point(0, lowest)) * height

    def both(pair: tuple[Points, Points]) -> tuple[Points, Points]:
        return moved(pair[0]), moved(pair[1])

    return Joints(
        moved(joints.chest),
        moved(joints.head),
        *(both(pair) for pair in (joints.shoulders, joints.elbows, joints.hands)),
        *(both(pair) for pair in (joints.hips, joints.knees, joints.feet)),
    )


def draw_figure(
    canvas: Canvas, body: Joints, looks: Looks, height: float, owner: int, *, headless: bool = False
) -> None:
    """Draws a figure back to front: one arm, legs, torso, head, the other arm.

    Args:
        canvas: Drawn on.
        body: Joints in canvas pixels, see :func:`place`.
        looks: Body and clothes.
        height: Of the figure, canvas pixels.
        owner: Number of the person; 0 for an object.
        headless: Whether to leave out the head.
    """
    wide = height * looks.build
    if not headless and looks.hair_style == "long":
        back = body.head + point(0, 0.07 * height)
        canvas.fill_polygon(
            ellipse(back, (0.062 * height, 0.12 * height)), (body.head, back), 0.07 * height, looks.hair, owner
        )
    _draw_arm(canvas, body, looks, height, owner, 0)
    for side in (0, 1):
        _draw_leg(canvas, body, looks, wide, height, owner, side)
    _draw_torso(canvas, body, looks, wide, height, owner)
    if not headless:
        _draw_head(canvas, body, looks, height, owner)
    _draw_arm(canvas, body, looks, height, owner, 1)


def _draw_arm(canvas: Canvas, body: Joints, looks: Looks, height: float, owner: int, side: int) -> None:
    wide = height * looks.build
    shoulder, elbow, hand = body.shoulders[side], body.elbows[side], body.hands[side]
    hand_end = hand + (hand - elbow) * 0.18
    canvas.fill_polygon(
        limb(hand, hand_end, 0.017 * height, 0.014 * height), (hand, hand_end), 0.02 * height, looks.skin, owner
    )
    fore = looks.top if looks.sleeves == "long" else looks.skin
    canvas.fill_polygon(limb(elbow, hand, 0.026 * wide, 0.018 * wide), (elbow, hand), 0.027 * wide, fore, owner)
    canvas.fill_polygon(
        limb(shoulder, elbow, 0.033 * wide, 0.028 * wide), (shoulder, elbow), 0.036 * wide, looks.top, owner
    )


def _draw_leg(canvas: Canvas, body: Joints, looks: Looks, wide: float, height: float, owner: int, side: int) -> None:
    hip, knee, foot = body.hips[side], body.knees[side], body.feet[side]
    toe = foot + point((0.5 if side else -0.5) + (body.knees[0][0] + body.knees[1][0] > 2 * hip[0]) * 0.3, 0.25) * (
        0.05 * height
    )
    canvas.fill_polygon(limb(foot, toe, 0.024 * height, 0.019 * height), (foot, toe), 0.03 * height, looks.shoes, owner)
    shin = looks.bottom if looks.lower == "trousers" else looks.skin
    canvas.fill_polygon(limb(knee, foot, 0.040 * wide, 0.024 * wide), (knee, foot), 0.042 * wide, shin, owner)
    thigh = looks.skin if looks.lower == "skirt" else looks.bottom
    canvas.fill_polygon(limb(hip, knee, 0.056 * wide, 0.042 * wide), (hip, knee), 0.058 * wide, thigh, owner)


def _draw_torso(canvas: Canvas, body: Joints, looks: Looks, wide: float, height: float, owner: int) -> None:
    hips = (body.hips[0] + body.hips[1]) / 2
    spine = (body.chest, hips)
    span = max(float(body.shoulders[1][0] - body.shoulders[0][0]), 0.08 * wide) / 2
    if looks.lower == "skirt":
        knees = (body.knees[0] + body.knees[1]) / 2
        hem = hips + (knees - hips) * 0.8
        flare = max(abs(body.knees[1][0] - body.knees[0][0]) / 2, 0.03 * wide) + 0.06 * wide
        waist = hips - point(0, 0.04 * height)
        half = point(0.07 * wide, 0)
        skirt = np.array([waist - half, waist + half, hem + point(flare, 0), hem - point(flare, 0)])
        canvas.fill_polygon(skirt, (hips, hem), flare, looks.bottom, owner)
    neck = body.chest + (body.head - body.chest) * 0.6
    canvas.fill_polygon(
        limb(body.chest, neck, 0.026 * height, 0.024 * height), (body.chest, neck), 0.03 * height, looks.skin, owner
    )
    bottom = hips + (hips - body.chest) * (0.45 if looks.coat else 0.08)
    waist = body.chest + (hips - body.chest) * 0.62
    sides = (
        (body.chest + point(0, -0.012 * height), 0.40 * span),
        (body.chest + point(0, 0.004 * height), span + 0.022 * wide),
        (body.chest + (hips - body.chest) * 0.3, 0.92 * span + 0.012 * wide),
        (waist, 0.72 * span + 0.012 * wide),
        (bottom, (0.95 if looks.coat else 0.80) * span + 0.02 * wide),
    )
    left = [center - point(reach, 0) for center, reach in sides]
    right = [center + point(reach, 0) for center, reach in reversed(sides)]
    canvas.fill_polygon(np.array(left + right), spine, span + 0.03 * wide, looks.top, owner)


def _draw_head(canvas: Canvas, body: Joints, looks: Looks, height: float, owner: int) -> None:
    size, center = looks.head * height, body.head
    axis = (center - point(0, size), center + point(0, size))
    canvas.fill_polygon(ellipse(center, (0.76 * size, size)), axis, 0.85 * size, looks.skin, owner)
    if looks.face and size > 9:
        offset = 0.25 * size * looks.turn
        dark = Material((45, 30, 28), roughness=0.0, roundness=0.0)
        for eye in (-0.3, 0.3):
            at = center + point(eye * size + offset, -0.05 * size)
            canvas.fill_polygon(ellipse(at, (0.10 * size, 0.07 * size), corners=8), axis, size, dark, owner)
        mouth = ellipse(center + point(offset, 0.48 * size), (0.24 * size, 0.06 * size), corners=8)
        canvas.fill_polygon(mouth, axis, size, Material((150, 65, 65), roughness=0.0, roundness=0.0), owner)
    _draw_hair(canvas, center, axis, looks, size, owner)


def _draw_hair(
    canvas: Canvas, center: Points, axis: tuple[Points, Points], looks: Looks, size: float, owner: int
) -> None:
    if not looks.face:  # seen from behind
        canvas.fill_polygon(
            ellipse(center - point(0, 0.1 * size), (0.8 * size, 0.95 * size)), axis, 0.9 * size, looks.hair, owner
        )
        return
    turn = np.linspace(np.pi, 2 * np.pi, 12)
    rim = np.stack(
        [center[0] + 0.82 * size * np.cos(turn), center[1] - 0.12 * size + 0.96 * size * np.sin(turn)], axis=1
    )
    fringe = np.array([[0.62, -0.35], [0.1, -0.55], [-0.55, -0.42]]) * size + center
    material = looks.top if looks.hair_style == "hat" else looks.hair
    canvas.fill_polygon(np.concatenate([rim, fringe]), axis, 0.9 * size, material, owner)
    if looks.hair_style == "hat":
        brim = ellipse(center - point(0, 0.42 * size), (1.15 * size, 0.13 * size))
        canvas.fill_polygon(brim, (center - point(size, 0), center + point(size, 0)), 0.2 * size, material, owner)
    if looks.hair_style == "bun":
        canvas.fill_polygon(
            ellipse(center - point(0, 1.15 * size), (0.34 * size, 0.34 * size)), axis, 0.4 * size, looks.hair, owner
        )
