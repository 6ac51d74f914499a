"""Random outlines with every path command, arcs and holes, for comparison with other programs.

The same seed gives the same outlines.
"""

from __future__ import annotations

import math
from functools import partial
from random import Random

from sansio_moondream import BBox, SegmentResult


def _near(rng: Random, x: float, y: float) -> str:
    return f"{x + rng.uniform(-0.1, 0.1):.3f},{y + rng.uniform(-0.1, 0.1):.3f} "


def random_path(rng: Random) -> str:
    """Draw an outline around the middle of the unit square, and up to three holes.

    Each corner is reached by a random command. A hole that runs in the direction of the outline
    is filled, by the rule `nonzero`.
    """
    corners = rng.randint(5, 12)
    angles = [math.tau * (i + rng.uniform(-0.3, 0.3)) / corners for i in range(corners)]
    points = [
        (
            0.5 + rng.uniform(0.3, 0.5) * math.cos(angle),
            0.5 + rng.uniform(0.3, 0.5) * math.sin(angle),
        )
        for angle in angles
    ]
    x, y = points[0]
    parts = [f"M{x:.3f} {y:.3f}"]
    for end_x, end_y in points[1:]:
        letter = rng.choice("LHVCSQTAlhvcsqta")
        left, top = (x, y) if letter.islower() else (0.0, 0.0)
        if letter in "Hh":
            end_y = y
        if letter in "Vv":
            end_x = x

        near = partial(_near, rng, (x + end_x) / 2 - left, (y + end_y) / 2 - top)
        end = f"{end_x - left:.3f} {end_y - top:.3f}"
        match letter.upper():
            case "H":
                parts.append(f"{letter}{end_x - left:.3f}")
            case "V":
                parts.append(f"{letter}{end_y - top:.3f}")
            case "C":
                parts.append(f"{letter}{near()}{near()}{end}")
            case "S" | "Q":
                parts.append(f"{letter}{near()}{end}")
            case "A":
                radii = f"{rng.uniform(0.05, 0.3):.3f} {rng.uniform(0.05, 0.3):.3f}"
                parts.append(
                    f"{letter}{radii} {rng.randint(-90, 90)} {rng.randint(0, 1)} "
                    f"{rng.randint(0, 1)} {end}"
                )
            case _:
                parts.append(f"{letter}{end}")
        x, y = round(end_x, 3), round(end_y, 3)
    parts.append("z")
    for _ in range(rng.randint(0, 3)):
        r, x, y, sweep = (
            rng.uniform(0.05, 0.15),
            rng.uniform(0.4, 0.6),
            rng.uniform(0.4, 0.6),
            rng.randint(0, 1),
        )
        parts.append(
            f"M{x - r:.3f} {y:.3f}a{r:.3f} {r:.3f} 0 1 {sweep} {2 * r:.3f} 0 {r:.3f} "
            f"{r:.3f} 0 1 {sweep} {-2 * r:.3f} 0z"
        )
    return "".join(parts)


def random_segment(rng: Random, size: int | None = None) -> SegmentResult:
    """Draw an outline in a box of at least 50 % of the width and height of the picture.

    With `size`, the edges of the box are whole pixels.
    """
    edges = []
    for _ in range(2):
        low = rng.uniform(0, 0.4)
        for edge in (low, rng.uniform(low + 0.5, 1)):
            edges.append(edge if size is None else round(edge * size) / size)
    return SegmentResult(random_path(rng), BBox(edges[0], edges[2], edges[1], edges[3]))
