"""What a network makes of a picture of a number, for a table and for people."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.digits.number import Digit


@dataclass(frozen=True)
class Answer:
    """What the network makes of one digit.

    Attributes:
        name: The most probable class.
        probabilities: Of every class.
        digit: Where it is, and what the network saw.
    """

    name: str
    probabilities: list[float]
    digit: Digit

    @property
    def confidence(self) -> float:
        """The probability of the answer."""
        return max(self.probabilities)


@dataclass(frozen=True)
class Reading:
    """What the network makes of a picture.

    Attributes:
        path: The picture's file.
        lines: The answers in each line, from left to right; none if the picture was not read.
        error: Why it was not read, or nothing.
    """

    path: Path
    lines: list[list[Answer]]
    error: str = ""

    @property
    def answers(self) -> list[Answer]:
        """The answers in reading order."""
        return [answer for line in self.lines for answer in line]

    @property
    def text(self) -> str:
        """The number, its lines parted by a slash."""
        return "/".join("".join(answer.name for answer in line) for line in self.lines)

    @property
    def least_sure(self) -> Answer:
        """The answer that is most likely wrong."""
        return min(self.answers, key=lambda answer: answer.confidence)

    def row(self, classes: int) -> list[Any]:
        """Return it as a row of the table: the probabilities are those of a single digit."""
        if self.error:
            return [self.path, "", "", *[""] * classes, "", self.error]
        is_single = len(self.answers) == 1
        figures = [f"{value:.6f}" for value in self.answers[0].probabilities] if is_single else [""] * classes
        digits = [
            {"digit": answer.name, "confidence": round(answer.confidence, 6), "box": answer.digit.box}
            for answer in self.answers
        ]
        return [self.path, self.text, f"{self.least_sure.confidence:.6f}", *figures, json.dumps(digits), ""]

    def verdict(self) -> str:
        """Return it as people read it."""
        if self.error:
            return f"-      {self.error}"
        least = f" (least sure of the {self.least_sure.name})" if len(self.answers) > 1 else ""
        return f"{self.text:<5}  {self.least_sure.confidence:.1%}{least}"


def printable(path: Path) -> str:
    """Return a path that any terminal shows, even where its bytes are no text."""
    return str(path).encode("utf-8", "backslashreplace").decode()
