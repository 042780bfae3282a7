"""The same digit as pictures of many kinds, and pictures without any."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from tests.digits.drawings import cut_out, in_a_frame, noise, paper

Change = Callable[[Image.Image], Image.Image]


def shaded(image: Image.Image) -> Image.Image:
    """Dark ink on paper with light from the left and noise."""
    random = np.random.default_rng(0)
    light = np.linspace(1, 0.5, image.width)[None]
    levels = (230 - 190 * (np.asarray(image) / 255)) * light + random.normal(0, 5, (image.height, image.width))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def coloured(ink: tuple[int, int, int], background: tuple[int, int, int]) -> Change:
    return lambda image: ImageOps.colorize(image, background, ink)


def transparent(image: Image.Image) -> Image.Image:
    """Black ink on nothing."""
    clear = Image.new("RGBA", image.size, (0, 0, 0, 0))
    clear.putalpha(image)
    return clear


def a_card(image: Image.Image) -> Image.Image:
    """Black ink on a white card with transparent round corners."""
    shape = Image.new("L", image.size, 0)
    ImageDraw.Draw(shape).rounded_rectangle((0, 0, *image.size), 30, 255)
    card = ImageOps.invert(image).convert("RGBA")
    card.putalpha(shape)
    return card


def sixteen_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image).astype(np.uint16) * 200 + 300)


def lines(down: bool) -> Change:
    """Printed lines of a third of the ink's darkness, across the digit too."""

    def rule(image: Image.Image) -> Image.Image:
        sheet = Image.new("L", image.size, 225)
        pen = ImageDraw.Draw(sheet)
        for place in range(20, max(image.size), 40):
            pen.line((0, place, image.width, place), 165, 2)
            if down:
                pen.line((place, 0, place, image.height), 165, 2)
        return ImageChops.darker(sheet, paper(image))

    return rule


def grey_crop_on_white(image: Image.Image) -> Image.Image:
    page = Image.new("L", (400, 360), 255)
    page.paste(paper(image, light=235), (90, 80))
    return page


def hair_and_dust(image: Image.Image) -> Image.Image:
    dusty = paper(ImageOps.expand(image, 40, fill=0))
    pen = ImageDraw.Draw(dusty)
    for x, y in np.random.default_rng(1).integers(5, 30, (12, 2)).tolist():
        pen.ellipse((x, y, x + 2, y + 2), 90)
    pen.arc((230, 200, 290, 270), 20, 120, 100, 1)
    return dusty


def beside_the_paper(image: Image.Image) -> Image.Image:
    """A strip of the dark desk along one side of the paper."""
    photo = Image.new("L", (320, 300), 60)
    photo.paste(paper(ImageOps.expand(image, (60, 50), fill=0), ink=30), (24, 0))
    return photo


def half_in_shadow(image: Image.Image) -> Image.Image:
    light = np.where(np.arange(image.width) > 60, 1.0, 0.8)[None]
    return Image.fromarray((np.asarray(paper(image)) * light).astype(np.uint8))


def with_glare(image: Image.Image) -> Image.Image:
    y, x = np.mgrid[: image.height, : image.width]
    spot = 60 * np.exp(-((x - 190) ** 2 + (y - 30) ** 2) / 900)
    return Image.fromarray((np.asarray(paper(image, light=190)) + spot).clip(0, 255).astype(np.uint8))


def on_an_opaque_rectangle(image: Image.Image) -> Image.Image:
    """White ink on black, and nothing around that."""
    clear = Image.new("RGBA", (400, 380), (0, 0, 0, 0))
    clear.paste(image.convert("RGBA"), (90, 90))
    return clear


CHANGES: dict[str, Change] = {
    "inverted": ImageOps.invert,
    "pale": lambda image: image.point(lambda level: 230 - level // 12),
    "one bit": lambda image: image.convert("1"),
    "palette": lambda image: image.convert("P", palette=Image.Palette.ADAPTIVE),
    "colours": coloured((200, 30, 30), (250, 240, 200)),
    "red on equally bright blue": coloured((190, 0, 0), (0, 75, 125)),
    "transparent": transparent,
    "a card": a_card,
    "grey and alpha": lambda image: transparent(image).convert("LA"),
    "CMYK": lambda image: ImageOps.invert(image).convert("CMYK"),
    "LAB": lambda image: Image.merge("LAB", [image, Image.new("L", image.size, 128), Image.new("L", image.size, 128)]),
    "16 bits": sixteen_bits,
    "32 bits": lambda image: image.convert("I"),
    "floats from 0 to 1": lambda image: Image.fromarray(np.asarray(image, np.float32) / 255),
    "off the centre": lambda image: ImageOps.expand(image, (400, 0, 0, 150), fill=0),
    "cut out": cut_out,
    "larger": lambda image: image.resize((1500, 1364), Image.Resampling.BICUBIC),
    "smaller": lambda image: image.resize((55, 50), Image.Resampling.BICUBIC),
    "tiny in a large picture": lambda image: ImageOps.expand(image, (2500, 500, 500, 1900), fill=0),
    "shaded": shaded,
    "shaded, light ink": lambda image: ImageOps.invert(shaded(image)),
    "in a frame": in_a_frame,
    "ruled paper": lines(down=False),
    "squared paper": lines(down=True),
    "a grey crop on white": grey_crop_on_white,
    "hair and dust": hair_and_dust,
    "the paper's end": beside_the_paper,
    "a shadow's edge": half_in_shadow,
    "glare": with_glare,
    "an opaque rectangle": on_an_opaque_rectangle,
    "stairs": lambda image: image.resize((22, 20), Image.Resampling.BOX),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
}


BLANKS = {
    "black": Image.new("L", (28, 28), 0),
    "white": Image.new("RGB", (300, 200), (255, 255, 255)),
    "one pixel": Image.new("L", (1, 1), 90),
    "a line of pixels": Image.new("1", (500, 1), 1),
    "transparent": Image.new("RGBA", (60, 60), (0, 0, 0, 0)),
    "empty paper": shaded(Image.new("L", (400, 300), 0)),
    "little empty paper": shaded(Image.new("L", (28, 28), 0)),
    "noise": noise(64, 30),
    "a little noise": noise(500, 3),
    "floats": Image.new("F", (30, 30), 0.5),
}
