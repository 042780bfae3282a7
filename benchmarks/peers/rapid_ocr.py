"""What RapidOCR reads in pictures: their paths as lines of the standard input, its answers as lines of the output."""

import sys

from rapidocr import RapidOCR


def main() -> None:
    """Read and report, the digits alone: what else is in an answer cannot be meant."""
    reader = RapidOCR(params={"Global.log_level": "error"})
    for path in sys.stdin.read().splitlines():
        found = [reader(path, use_det=use_det, use_cls=False, use_rec=True) for use_det in (True, False)]
        texts = ["".join(answer.txts or ()) for answer in found]
        print(*("".join(filter(str.isdigit, text)) for text in texts), sep="\t")


if __name__ == "__main__":
    main()
