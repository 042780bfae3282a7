"""The answers of a network to a picture of a number, for programs and for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from src.digits.number import Digit

SURE = 0.9  # below this confidence at least three in ten validation answers are wrong: benchmarks/digits.py
WIDE = 1.3  # times its height: 2 % of MNIST's digits are wider, and half of the pairs that touch each other


@dataclass(frozen=True)
class Answer:
    """The answer of the network to one digit: the most probable class, and the probability of every class."""

    name: str
    probabilities: list[float]
    digit: Digit

    @property
    def confidence(self) -> float:
        """The probability of the answer."""
        return max(self.probabilities)

    @property
    def is_wide(self) -> bool:
        """Whether the digit may be several digits that touch each other."""
        left, top, right, bottom = self.digit.box or (0, 0, 0, 0)
        return right - left > WIDE * (bottom - top)

    @property
    def unsure(self) -> bool:
        """Whether a person should check the answer; False for classes other than digits, which have no threshold."""
        return self.digit.box is not None and (self.confidence < SURE or self.is_wide)


@dataclass(frozen=True)
class Reading:
    """The answers of the network to a picture: one for each digit of each line, or the reason why it was not read."""

    lines: list[list[Answer]]
    error: str = ""

    @classmethod
    def of(cls, lines: list[list[Digit]], probabilities: Iterator[Tensor], classes: Sequence[str]) -> "Reading":
        """Join the digits of a picture, in lines, with their probabilities, in the same order."""

        def answer(digit: Digit) -> Answer:
            row = next(probabilities).tolist()
            return Answer(classes[row.index(max(row))], row, digit)

        return cls([[answer(digit) for digit in line] for line in lines])

    @property
    def answers(self) -> list[Answer]:
        """The answers in reading order."""
        return [answer for line in self.lines for answer in line]

    @property
    def text(self) -> str:
        """The number, its lines separated by a slash."""
        return "/".join("".join(answer.name for answer in line) for line in self.lines)

    @property
    def least_sure(self) -> Answer:
        """The answer that is most likely wrong."""
        return min(self.answers, key=lambda answer: answer.confidence)

    @property
    def unsure(self) -> bool:
        """Whether an answer is unsure."""
        return any(answer.unsure for answer in self.answers)

    @property
    def digits(self) -> list[dict[str, Any]]:
        """The answers as plain values, for JSON."""
        return [
            {
                "digit": answer.name,
                "confidence": round(answer.confidence, 6),
                "unsure": answer.unsure,
                "box": answer.digit.box,
            }
            for answer in self.answers
        ]

    def verdict(self) -> str:
        """Return the answer as a line of text."""
        if self.error:
            return f"-      {self.error}"
        least = f" (least sure of the {self.least_sure.name})" if len(self.answers) > 1 else ""
        touching = ": wide as digits that touch" if any(answer.is_wide for answer in self.answers) else ""
        unsure = f", unsure{touching}" if self.unsure else ""
        return f"{self.text:<5}  {self.least_sure.confidence:.1%}{least}{unsure}"
