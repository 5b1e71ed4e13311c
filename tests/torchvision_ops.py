"""Lets torchvision be imported beside a torch without CUDA, for which PyPI has no build of it.

Its compiled part does not load there, and importing it then fails because two operators are not declared. The
image processors of transformers use none of them.
"""

from typing import Any


def declare_missing_operators(torch: Any) -> object:
    """Declare them if torch was built without CUDA. What is returned has to be kept alive."""
    if torch.version.cuda is not None:
        return None
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
