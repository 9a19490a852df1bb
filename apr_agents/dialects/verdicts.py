"""Every way in which a text can be malformed, each with its name.

A verdict is `repaired` when the parser goes on as if the text were well formed. No repair alters the text: what is
repaired is only how it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

UNCLOSED_BLOCK: Final = "unclosed-block"
UNCLOSED_OUTLINES: Final = "unclosed-outlines"
UNCLOSED_OUTLINE: Final = "unclosed-outline"
UNCLOSED_BRANCH: Final = "unclosed-branch"
UNCLOSED_CONCLUSION: Final = "unclosed-conclusion"
UNOPENED_OUTLINES: Final = "unopened-outlines"
CUT_TAG: Final = "cut-tag"
CROSSED_TAG: Final = "crossed-tag"
STRAY_TAG: Final = "stray-tag"
STRAY_TEXT: Final = "stray-text"
NESTED_TOO_DEEP: Final = "nested-too-deep"
NO_NUMBER: Final = "no-number"
BAD_NUMBER: Final = "bad-number"
DUPLICATE_NUMBER: Final = "duplicate-number"
MISSING_NUMBER: Final = "missing-number"
OUT_OF_ORDER: Final = "out-of-order"
EMPTY_OUTLINE: Final = "empty-outline"
OUTLINE_TOO_LONG: Final = "outline-too-long"
TOO_MANY_OUTLINES: Final = "too-many-outlines"
TOO_MANY_BRANCHES: Final = "too-many-branches"
NO_OUTLINES: Final = "no-outlines"
NO_BRANCHES: Final = "no-branches"
OUTLINE_WITHOUT_BRANCH: Final = "outline-without-branch"
BRANCH_WITHOUT_OUTLINE: Final = "branch-without-outline"
NO_CONCLUSION: Final = "no-conclusion"
BLOCK_TOO_LARGE: Final = "block-too-large"

VERDICTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        UNCLOSED_BLOCK: "A block is not closed before the text ends or the next block opens. "
        "In the latter case repaired: it ends there.",
        UNCLOSED_OUTLINES: "The outlines are not closed before a branch opens or the block ends. Nothing is forked.",
        UNCLOSED_OUTLINE: "An outline is not closed before the next tag. Repaired: it ends there.",
        UNCLOSED_BRANCH: "A branch is not closed before the next one opens, the block closes or the text ends. "
        "Repaired, but for the last: it ends there.",
        UNCLOSED_CONCLUSION: "A conclusion is not closed before its block or the text ends. "
        "In the former case repaired: it ends there.",
        UNOPENED_OUTLINES: "An outline stands before the tag that opens the outlines. Repaired: they begin there.",
        CUT_TAG: "The text ends inside a tag. Those characters are plain text.",
        CROSSED_TAG: "A closing tag comes after, or instead of, the one that it belongs inside of. It is plain text.",
        STRAY_TAG: "A tag stands where the dialect has no use for it. It is plain text.",
        STRAY_TEXT: "Text stands where only tags belong. Repaired: it counts for nothing.",
        NESTED_TOO_DEEP: "A block opens where none may. Its tags are plain text.",
        NO_NUMBER: "An outline or branch does not begin with a number and a colon. An outline without one is not used.",
        BAD_NUMBER: "A number is not written as one. Zero and leading zeros are repaired: it is used as written.",
        DUPLICATE_NUMBER: "A number comes twice in a block. The first one counts.",
        MISSING_NUMBER: "A number is left out. Repaired: the outlines are used as numbered.",
        OUT_OF_ORDER: "A number is lower than the one before. Repaired: the outlines are used in the order written.",
        EMPTY_OUTLINE: "An outline has a number and no text. Repaired: it is used.",
        OUTLINE_TOO_LONG: "An outline is longer than the limit. It is not used.",
        TOO_MANY_OUTLINES: "An outline is over the cap of a block. It is named in the fork, as refused.",
        TOO_MANY_BRANCHES: "A branch is over the cap of a block.",
        NO_OUTLINES: "A block has no outline that can be used. Nothing is forked; the text goes on.",
        NO_BRANCHES: "A block closes without a branch.",
        OUTLINE_WITHOUT_BRANCH: "No branch has an outline's number.",
        BRANCH_WITHOUT_OUTLINE: "No outline has a branch's number.",
        NO_CONCLUSION: "A block ends without the conclusion that its dialect asks for. Repaired: the text goes on.",
        BLOCK_TOO_LARGE: "A block is larger than the limit. It ends there; what follows is plain text.",
    }
)
"""Kind of verdict to what it says, in one or two sentences."""
