"""Digits as a hand draws them, for tests and pictures of the page that ``src.cli serve`` shows."""

from itertools import pairwise

from playwright.sync_api import Page

Point = tuple[float, float]
STEPS = 8  # between two points

# strokes from the first point to the last, x to the right and y down, from 0 to 1 of the paper's side
STROKES: dict[int, list[list[Point]]] = {
    0: [[(0.52, 0.2), (0.38, 0.26), (0.3, 0.42), (0.3, 0.62), (0.4, 0.78), (0.54, 0.78), (0.66, 0.66), (0.69, 0.46),
         (0.64, 0.28), (0.52, 0.2)]],
    1: [[(0.54, 0.18), (0.52, 0.4), (0.49, 0.6), (0.47, 0.82)]],
    2: [[(0.32, 0.34), (0.38, 0.23), (0.52, 0.2), (0.64, 0.28), (0.62, 0.42), (0.5, 0.58), (0.32, 0.76), (0.5, 0.75),
         (0.7, 0.76)]],
    3: [[(0.34, 0.24), (0.5, 0.19), (0.63, 0.27), (0.6, 0.4), (0.46, 0.47), (0.62, 0.53), (0.67, 0.66), (0.57, 0.79),
         (0.42, 0.81), (0.31, 0.74)]],
    4: [[(0.38, 0.2), (0.34, 0.36), (0.32, 0.5), (0.48, 0.51), (0.7, 0.49)], [(0.64, 0.24), (0.61, 0.5), (0.58, 0.82)]],
    5: [[(0.64, 0.2), (0.42, 0.21), (0.38, 0.44), (0.54, 0.43), (0.65, 0.54), (0.62, 0.71), (0.48, 0.8), (0.32, 0.74)]],
    6: [[(0.6, 0.18), (0.45, 0.3), (0.36, 0.5), (0.36, 0.68), (0.46, 0.8), (0.6, 0.76), (0.65, 0.62), (0.55, 0.53),
         (0.4, 0.6)]],
    7: [[(0.3, 0.26), (0.48, 0.24), (0.69, 0.22), (0.63, 0.4), (0.55, 0.6), (0.49, 0.82)]],
    8: [[(0.6, 0.27), (0.48, 0.2), (0.38, 0.3), (0.46, 0.43), (0.6, 0.56), (0.64, 0.7), (0.52, 0.81), (0.39, 0.72),
         (0.42, 0.56), (0.57, 0.43), (0.6, 0.27)]],
    9: [[(0.63, 0.3), (0.5, 0.21), (0.37, 0.3), (0.38, 0.44), (0.5, 0.49), (0.62, 0.4), (0.64, 0.28), (0.62, 0.5),
         (0.58, 0.82)]],
}  # fmt: skip


def curve(points: list[Point]) -> list[Point]:
    """Return many points on a smooth line through some points (a Catmull-Rom spline)."""
    ends = [points[0], *points, points[-1]]
    line = [points[0]]
    for number, (start, end) in enumerate(pairwise(points)):
        before, after = ends[number], ends[number + 3]
        for step in range(1, STEPS + 1):
            t = step / STEPS
            weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
            some = tuple(zip(weights, (before, start, end, after), strict=True))
            line.append((sum(w * x for w, (x, _) in some) / 2, sum(w * y for w, (_, y) in some) / 2))
    return line


def draw(page: Page, strokes: list[list[Point]]) -> None:
    """Draw strokes on the page's paper with the mouse."""
    box = page.locator("canvas").bounding_box()
    assert box
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in curve(stroke)]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place)
        page.mouse.up()
