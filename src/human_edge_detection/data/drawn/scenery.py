"""Backgrounds of the sample data (streets, rooms, parks) and objects that resemble persons."""

import numpy as np

from human_edge_detection.data.drawn.canvas import (
    Canvas,
    Color,
    Material,
    Pattern,
    Points,
    ellipse,
    limb,
    noise,
    point,
    rectangle,
)
from human_edge_detection.data.drawn.figures import (
    Pose,
    draw_figure,
    place,
    random_joints,
    random_looks,
    uniform_looks,
)

_DOWN = point(0, 1)
_SURFACES: tuple[Color, ...] = (
    (176, 164, 150),
    (140, 95, 75),
    (120, 130, 140),
    (205, 198, 180),
    (90, 85, 90),
    (165, 140, 105),
)
_STONE: tuple[Color, ...] = ((150, 150, 146), (96, 118, 104), (112, 92, 66), (205, 203, 198))


def draw_background(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Draws a street, a room or a park; ``horizon`` is the row of the horizon in canvas pixels."""
    kind = rng.choice(["street", "room", "park"])
    if kind == "room":
        _draw_room(canvas, rng, horizon)
        return
    _fill(
        canvas, rng, 0, canvas.height, _color(rng, ((120, 170, 225), (190, 205, 220), (225, 200, 180))), (235, 238, 240)
    )
    ground = ((92, 130, 60), (130, 140, 80)) if kind == "park" else ((130, 128, 126), (160, 150, 140), (100, 100, 105))
    far, near = _color(rng, ground), _color(rng, ground)
    _fill(canvas, rng, int(horizon), canvas.height, far, near)
    if kind == "street":
        for _ in range(rng.integers(3, 7)):
            _draw_building(canvas, rng, horizon)
    for _ in range(rng.integers(3, 7) if kind == "park" else rng.integers(0, 3)):
        _draw_tree(canvas, rng, horizon)


def draw_distractors(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Draws one to four upright objects: poles, signs, coats, bins, statues, mannequins. ``horizon`` is a row."""
    things = (_draw_pole, _draw_sign, _draw_coat, _draw_bin, _draw_statue, _draw_statue)
    depths = np.sort(rng.uniform(0.25, 1.0, rng.integers(1, 5)))
    for depth in depths:
        foot = point(rng.uniform(0, canvas.width), horizon + depth * (canvas.height - horizon))
        size = max(1.2 * (foot[1] - horizon), 24.0)
        canvas.darken(foot, (0.16 * size, 0.04 * size), 0.4)
        things[rng.integers(len(things))](canvas, rng, foot, size)


def draw_seat(canvas: Canvas, rng: np.random.Generator, center: Points, width: float, foot: float) -> None:
    """Draws a box to sit on, from the row of ``center`` down to the row ``foot``; ``width`` is half its width."""
    look = Material(_color(rng, _SURFACES), _color(rng, _SURFACES), "stripes", max(width / 6, 3), 0.2, 0.3)
    shape = rectangle(center[0] - width, center[1], center[0] + width, foot)
    canvas.fill_polygon(shape, (center, center + _DOWN), width, look)


def _fill(canvas: Canvas, rng: np.random.Generator, top: int, bottom: int, upper: Color, lower: Color) -> None:
    """Fills the rows from ``top`` to before ``bottom`` with a vertical gradient and noise."""
    if bottom <= top:
        return
    share = np.linspace(0, 1, bottom - top, dtype=np.float32)[:, None, None]
    band = np.array(upper, np.float32) * (1 - share) + np.array(lower, np.float32) * share
    grain = noise((bottom - top, canvas.width), rng, (4, 16, 64, 160))
    canvas.pixels[top:bottom] = band * (1 + float(rng.uniform(0.05, 0.22)) * grain[..., None])


def _draw_building(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    left, width = rng.uniform(-0.1, 0.9) * canvas.width, rng.uniform(0.15, 0.4) * canvas.width
    top, base = rng.uniform(-0.2, 0.7) * horizon, horizon + rng.uniform(0, 0.03) * canvas.height
    wall = _two_tone(rng, _SURFACES, "hoops", rng.uniform(5, 9))
    axis = (point(left + width / 2, top), point(left + width / 2, base))
    canvas.fill_polygon(rectangle(left, top, left + width, base), axis, width, wall)
    glass = Material(_color(rng, ((60, 75, 95), (150, 170, 185), (235, 215, 150))), roughness=0.3, roundness=0.3)
    columns, rows = rng.integers(2, 6), rng.integers(2, 5)
    cell_x, cell_y = width / columns, (base - top) / rows
    for x in left + cell_x * (np.arange(columns) + 0.3):
        for y in top + cell_y * (np.arange(rows) + 0.25):
            canvas.fill_polygon(
                rectangle(x, y, x + 0.4 * cell_x, y + 0.5 * cell_y), (point(x, y), point(x, y + 1)), cell_x, glass
            )


def _draw_tree(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    foot = point(rng.uniform(0, canvas.width), horizon + rng.uniform(0, 0.25) * (canvas.height - horizon))
    size = rng.uniform(0.3, 0.8) * canvas.height
    top = foot - point(rng.uniform(-0.05, 0.05) * size, 0.6 * size)
    bark = Material(_color(rng, ((95, 72, 55), (120, 105, 90))), (60, 45, 35), "stripes", 5.0, 0.4)
    canvas.fill_polygon(limb(foot, top, 0.045 * size, 0.025 * size), (foot, top), 0.05 * size, bark)
    green = np.array(_color(rng, ((58, 110, 45), (90, 130, 50), (150, 120, 45), (45, 90, 60))))
    for _ in range(60):
        at = top + rng.normal(0, 0.14, 2) * size
        red, mid, blue = np.clip(green * rng.uniform(0.6, 1.35), 0, 255)
        leaf = Material((red, mid, blue), roughness=0.9, roundness=0.8)
        radius = rng.uniform(0.025, 0.08) * size
        canvas.fill_polygon(
            ellipse(at, (radius, rng.uniform(0.5, 1.0) * radius), rng.uniform(0, np.pi), corners=7),
            (at, at + _DOWN),
            1.3 * radius,
            leaf,
        )


def _draw_room(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    floor = horizon + 0.12 * canvas.height
    paper = _two_tone(rng, _SURFACES, ("plain", "stripes", "dots")[rng.integers(3)], 40)
    axis = (point(canvas.width / 2, 0), point(canvas.width / 2, 1))
    canvas.fill_polygon(rectangle(0, 0, canvas.width, floor), axis, canvas.width, paper)
    wood = _two_tone(rng, ((150, 105, 70), (110, 100, 95), (180, 150, 115)), "hoops", rng.uniform(16, 40))
    canvas.fill_polygon(rectangle(0, floor, canvas.width, canvas.height), axis, canvas.width, wood)
    for _ in range(rng.integers(2, 6)):
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, 0.6) * floor
        width, tall = rng.uniform(0.06, 0.2) * canvas.width, rng.uniform(0.08, 0.3) * canvas.height
        frame = Material(_color(rng, _SURFACES), _color(rng, ((60, 120, 160), (230, 220, 200))), "checks", 30, 0.3, 0.1)
        canvas.fill_polygon(rectangle(x, y, x + width, min(y + tall, floor)), axis, canvas.width, frame)
    for _ in range(rng.integers(1, 4)):
        x, width = rng.uniform(-0.1, 0.9) * canvas.width, rng.uniform(0.12, 0.35) * canvas.width
        top, base = floor - rng.uniform(0.05, 0.35) * canvas.height, floor + rng.uniform(0.02, 0.12) * canvas.height
        shelf = _two_tone(rng, _SURFACES, "hoops", rng.uniform(20, 50))
        canvas.fill_polygon(
            rectangle(x, top, x + width, base), (point(x + width / 2, top), point(x + width / 2, base)), width, shelf
        )


def _draw_pole(canvas: Canvas, rng: np.random.Generator, foot: Points, size: float) -> None:
    top = foot - point(0, rng.uniform(1.0, 1.8) * size)
    metal = Material(_color(rng, _STONE), roughness=0.1)
    canvas.fill_polygon(limb(foot, top, 0.03 * size, 0.025 * size), (foot, top), 0.03 * size, metal)
    if rng.random() < 0.6:
        lamp = ellipse(top, (0.09 * size, 0.09 * size))
        canvas.fill_polygon(lamp, (top, top + _DOWN), 0.1 * size, Material((240, 235, 205), roughness=0.05))


def _draw_sign(canvas: Canvas, rng: np.random.Generator, foot: Points, size: float) -> None:
    top = foot - point(0, 0.9 * size)
    canvas.fill_polygon(limb(foot, top, 0.02 * size, 0.02 * size), (foot, top), 0.02 * size, Material((140, 140, 145)))
    plate = Material(
        _color(rng, ((205, 45, 40), (40, 85, 170), (240, 200, 50))), (245, 245, 245), "hoops", 0.14 * size, 0.1, 0.2
    )
    outline = ellipse(top, (0.15 * size, 0.15 * size), angle=np.pi / 8, corners=int(rng.choice([3, 4, 8, 20])))
    canvas.fill_polygon(outline, (top, top + _DOWN), 0.2 * size, plate)


def _draw_coat(canvas: Canvas, rng: np.random.Generator, foot: Points, size: float) -> None:
    """A coat on a stand: the cloth of a person without a person."""
    top = foot - point(0, 0.95 * size)
    canvas.fill_polygon(limb(foot, top, 0.012 * size, 0.012 * size), (foot, top), 0.012 * size, Material((90, 65, 45)))
    cloth = random_looks(rng, size).top
    hook = top + point(0, 0.10 * size)
    hem = top + point(0, rng.uniform(0.45, 0.6) * size)
    corners = [hook + point(-0.04 * size, 0), hook + point(0.04 * size, 0), hook + point(0.12 * size, 0.07 * size)]
    corners += [hem + point(0.13 * size, 0), hem - point(0.13 * size, 0), hook + point(-0.12 * size, 0.07 * size)]
    canvas.fill_polygon(np.array(corners), (hook, hem), 0.15 * size, cloth)


def _draw_bin(canvas: Canvas, rng: np.random.Generator, foot: Points, size: float) -> None:
    top = foot - point(0, rng.uniform(0.35, 0.6) * size)
    half = rng.uniform(0.1, 0.2) * size
    paint = _two_tone(rng, _SURFACES + _STONE, "stripes", 0.06 * size)
    shape = np.array(
        [top - point(half, 0), top + point(half, 0), foot + point(0.8 * half, 0), foot - point(0.8 * half, 0)]
    )
    canvas.fill_polygon(shape, (top, foot), half, paint)


def _draw_statue(canvas: Canvas, rng: np.random.Generator, foot: Points, size: float) -> None:
    """A figure of a single material: a statue on its base, or a mannequin without a head on its stand."""
    mannequin = rng.random() < 0.4
    color = _color(rng, ((232, 226, 214), (222, 200, 175), (60, 60, 64)) if mannequin else _STONE)
    looks = uniform_looks(random_looks(rng, size), Material(color, roughness=0.08 if mannequin else 0.35))
    base = rectangle(foot[0] - 0.15 * size, foot[1] - 0.12 * size, foot[0] + 0.15 * size, foot[1])
    canvas.fill_polygon(
        base, (foot, foot + _DOWN), 0.3 * size, Material(_color(rng, _STONE), roughness=0.3, roundness=0.4)
    )
    pose: Pose = "standing" if mannequin or rng.random() < 0.5 else "arms_up"
    body = place(random_joints(rng, pose, looks), foot - point(0, 0.1 * size), 0.9 * size)
    draw_figure(canvas, body, looks, 0.9 * size, 0, headless=mannequin)


def _two_tone(rng: np.random.Generator, palette: tuple[Color, ...], pattern: Pattern, period: float) -> Material:
    """The material of a wall, a floor or an object: a pattern of a random colour and a darker shade of it."""
    red, green, blue = _color(rng, palette)
    dark = float(rng.uniform(0.72, 0.92))
    return Material((red, green, blue), (red * dark, green * dark, blue * dark), pattern, period, 0.25, 0.3)


def _color(rng: np.random.Generator, palette: tuple[Color, ...]) -> Color:
    """A random colour of the palette, changed a little."""
    red, green, blue = np.clip(np.array(palette[rng.integers(len(palette))]) + rng.uniform(-14, 14, 3), 5, 250)
    return float(red), float(green), float(blue)
