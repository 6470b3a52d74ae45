"""Blurred backgrounds, as a portrait lens shows them: walls, rooms, streets and evenings."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


DRAWN_SIDE = 128  # pixels; enough for a blurred picture
WALLS = (
    (200, 195, 185), (150, 150, 155), (110, 95, 85), (225, 220, 212), (95, 105, 115), (60, 58, 60), (175, 160, 140),
)  # fmt: skip
THINGS = ((70, 55, 45), (120, 100, 80), (40, 45, 50), (160, 150, 140), (110, 60, 50), (50, 70, 95), (190, 180, 160))
LEAVES = ((60, 85, 45), (90, 110, 60), (45, 60, 40), (120, 130, 80), (100, 95, 70))
SKIES = ((190, 205, 225), (215, 220, 225), (160, 185, 215))


def draw_background(random: np.random.Generator, size: int) -> np.ndarray:
    """Draw a background, (size, size, 3) in [0, 255]."""
    kinds = (_plain, _room, _outdoors, _evening)
    draw = kinds[random.choice(len(kinds), p=[0.35, 0.35, 0.2, 0.1])]
    image = draw(random)
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC), np.float32)
    # Light falls off towards one side, and a little towards the corners.
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    angle = random.uniform(0, 2 * np.pi)
    fall = 1 + random.uniform(0, 0.5) * (np.cos(angle) * x + np.sin(angle) * y)
    fall -= random.uniform(0, 0.35) * (x**2 + y**2)
    return np.clip(pixels * fall[:, :, None] * random.uniform(0.6, 1.1), 0, 255)


def _plain(random: np.random.Generator) -> Image.Image:
    return _canvas(random, WALLS)


def _room(random: np.random.Generator) -> Image.Image:
    image = _canvas(random, WALLS)
    pen = ImageDraw.Draw(image)
    for _ in range(random.integers(2, 8)):
        left, top = random.uniform(-30, DRAWN_SIDE, 2)
        width, height = random.uniform(8, 60), random.uniform(15, 110)
        pen.rectangle((left, top, left + width, top + height), fill=_tone(random, THINGS))
    if random.random() < 0.4:  # a window or a lamp
        left, top = random.uniform(-20, DRAWN_SIDE), random.uniform(-20, 50)
        pen.rectangle((left, top, left + random.uniform(15, 50), top + random.uniform(20, 60)), fill=(250, 248, 240))
    return _blurred(image, random)


def _outdoors(random: np.random.Generator) -> Image.Image:
    image = _canvas(random, SKIES)
    pen = ImageDraw.Draw(image)
    horizon = random.uniform(10, 80)
    pen.rectangle((0, horizon, DRAWN_SIDE, DRAWN_SIDE), fill=_tone(random, LEAVES))
    for _ in range(random.integers(20, 60)):
        x, y, r = random.uniform(0, DRAWN_SIDE), random.uniform(horizon - 20, DRAWN_SIDE), random.uniform(2, 16)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=_tone(random, LEAVES + SKIES[:1]))
    return _blurred(image, random)


def _evening(random: np.random.Generator) -> Image.Image:
    image = _canvas(random, ((35, 32, 38), (25, 30, 40), (50, 42, 38)))
    pen = ImageDraw.Draw(image, "RGBA")
    for _ in range(random.integers(5, 25)):
        x, y, r = *random.uniform(0, DRAWN_SIDE, 2), random.uniform(3, 11)
        warm = random.uniform(0, 1)
        fill = (255, int(170 + 60 * warm), int(90 + 140 * warm), int(random.uniform(60, 190)))
        pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    return image.filter(ImageFilter.GaussianBlur(1.5))


def _canvas(random: np.random.Generator, tones) -> Image.Image:
    return Image.new("RGB", (DRAWN_SIDE, DRAWN_SIDE), _tone(random, tones))


def _tone(random: np.random.Generator, tones) -> tuple[int, int, int]:
    tone = np.array(tones[random.integers(len(tones))]) * random.uniform(0.8, 1.15) + random.normal(0, 8, 3)
    red, green, blue = np.clip(tone, 0, 255)
    return int(red), int(green), int(blue)


def _blurred(image: Image.Image, random: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(random.uniform(3, 9)))
