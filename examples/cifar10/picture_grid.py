"""Ten pictures and what an endpoint said of them, on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SCALE = 2  # drawn twice as large as it is meant to be seen, so that text and corners are crisp
COLUMNS = 5
TILE, GAP, MARGIN, CAPTION, HEADER = 176, 18, 28, 62, 84
FRAME, CORNER = 5, 12

PAPER, INK, FAINT, RAIL = "#f7f7f5", "#1d1f21", "#6d7278", "#e3e4e1"
RIGHT, WRONG = "#2e9e5b", "#d0453b"


@dataclass(frozen=True)
class Guess:
    """A picture, the class it has, the class it was given, and how sure the net was, 0 to 1."""

    picture: Path
    truth: str
    guess: str
    confidence: float

    @property
    def is_right(self) -> bool:
        return self.truth == self.guess


def draw_grid(guesses: Sequence[Guess], title: str, subtitle: str, target: Path) -> Path:
    """Write the sheet as a PNG to `target`, whose folder is made where it is missing."""
    rows = -(-len(guesses) // COLUMNS)
    columns = min(COLUMNS, len(guesses))
    width = 2 * MARGIN + columns * TILE + (columns - 1) * GAP
    height = HEADER + rows * (TILE + CAPTION) + (rows - 1) * GAP + MARGIN
    sheet = Image.new("RGB", (width * SCALE, height * SCALE), PAPER)
    draw = ImageDraw.Draw(sheet)
    _text(draw, (MARGIN, 20), title, 23, INK)
    _text(draw, (MARGIN, 51), subtitle, 14, FAINT)
    for number, guess in enumerate(guesses):
        row, column = divmod(number, COLUMNS)
        left = MARGIN + column * (TILE + GAP)
        top = HEADER + row * (TILE + CAPTION + GAP)
        _tile(sheet, draw, guess, left, top)
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(target)
    return target


def _tile(sheet: Image.Image, draw: ImageDraw.ImageDraw, guess: Guess, left: int, top: int) -> None:
    colour = RIGHT if guess.is_right else WRONG
    _rounded(draw, (left, top, TILE, TILE), CORNER, colour)
    inner = (TILE - 2 * FRAME) * SCALE
    with Image.open(guess.picture) as file:
        enlarged = file.convert("RGB").resize((inner, inner), Image.Resampling.BICUBIC)
    mask = Image.new("L", enlarged.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle(
        (0, 0, inner - 1, inner - 1), (CORNER - FRAME + 1) * SCALE, fill=255
    )
    sheet.paste(enlarged, ((left + FRAME) * SCALE, (top + FRAME) * SCALE), mask)

    _text(draw, (left + 2, top + TILE + 8), guess.guess, 17, INK)
    percent = f"{guess.confidence:.0%}"
    _text(draw, (left + TILE - 2, top + TILE + 8), percent, 17, colour, anchor="ra")
    _rounded(draw, (left + 2, top + TILE + 34, TILE - 4, 6), 3, RAIL)
    filled = max(6, round((TILE - 4) * guess.confidence))
    _rounded(draw, (left + 2, top + TILE + 34, filled, 6), 3, colour)
    faint = FAINT if guess.is_right else colour
    _text(draw, (left + 2, top + TILE + 44), f"true class: {guess.truth}", 13, faint)


def _rounded(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], radius: int, colour: str
) -> None:
    """A rounded box given as left, top, width and height."""
    left, top, width, height = (side * SCALE for side in box)
    draw.rounded_rectangle(
        (left, top, left + width - 1, top + height - 1), radius * SCALE, fill=colour
    )


def _text(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: str,
    anchor: str = "la",
) -> None:
    font = ImageFont.load_default(size * SCALE)
    draw.text((at[0] * SCALE, at[1] * SCALE), text, font=font, fill=colour, anchor=anchor)
