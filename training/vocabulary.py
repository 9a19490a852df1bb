"""The vocabulary: control tags, all bytes, and the words of the game, as a byte-level BPE.

Every byte is a token, so any text encodes without loss; merges make each word of the game one token. Their order
matters, because BPE applies the earliest merge first: words come before numbers, and the bare labels 10 to 16 come
last, so that ` 126` grows from its space (` 1`, ` 12`, ` 126`) before `12` can claim its digits.
"""

from functools import lru_cache

from .game import LARGEST_VALUE

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
THINK, THINK_SEQUENTIAL, THINK_CALLS, THINK_NESTED = "<think>", "<think-seq>", "<think-call>", "<think-nest>"
BLOCK_TAGS = tuple(f"<{slash}{name}>" for name in ("Parallel", "Outlines", "Outline", "Thread") for slash in ("", "/"))
CONTROL = (PAD, BOS, EOS, *BLOCK_TAGS, THINK, THINK_SEQUENTIAL, THINK_CALLS, THINK_NESTED)

LARGEST_LABEL = 16

# Each word is spelled as the pieces that are merged from left to right; a piece must be a character or a word above it.
WORDS = (
    ("u", "m", "b", "e", "r", "s"),
    ("N", "umbers"),
    ("n", "umbers"),
    ("a", "r", "g", "e", "t"),
    ("T", "arget"),
    (" ", "Target"),
    ("t", "arget"),
    ("a", "n", "s", "w", "e", "r"),
    (" ", "answer"),
    ("h", "i", "t"),
    (" ", "hit"),
    ("n", "o", "n", "e"),
    (" ", "none"),
    ("t", "h", "e", "n"),
    (" ", "then"),
    ("i", "n"),
    (" ", "in"),
    ("s", "o", "l", "v", "e"),
    (" ", "+"),
    ("-", ">"),
    (" ", "->"),
    (" ", "-"),
    (" ", "*"),
    (" ", "/"),
    (" ", "="),
    (" ", "@"),
    (" ", "{", '"'),
    ('"', ":"),
    (" ", "["),
    ("]", ","),
    (" ", '"'),
)


@lru_cache(maxsize=1)
def byte_alphabet() -> dict[int, str]:
    """The printable character that stands for each byte in a byte-level vocabulary, as GPT-2 assigned them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    alphabet = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in alphabet:
            alphabet[byte] = chr(256 + len(alphabet) - len(printable))
    return alphabet


def spelled(text: str) -> str:
    """The text in the byte alphabet: ` hit` becomes `Ġhit`."""
    alphabet = byte_alphabet()
    return "".join(alphabet[byte] for byte in text.encode())


def merges() -> list[tuple[str, str]]:
    """All merges, earliest first."""
    spellings = [*WORDS, *map(_spaced_number, range(LARGEST_VALUE + 1)), *map(_label, range(10, LARGEST_LABEL + 1))]
    found: dict[tuple[str, str], None] = {}
    for pieces in spellings:
        word = spelled(pieces[0])
        for piece in map(spelled, pieces[1:]):
            found.setdefault((word, piece))
            word += piece
    return list(found)


def _spaced_number(number: int) -> tuple[str, ...]:
    return (" ", *str(number))


def _label(number: int) -> tuple[str, ...]:
    return tuple(str(number))


def tokens() -> list[str]:
    """All tokens in the order of their ids: control tags as they are, all others in the byte alphabet."""
    merged = dict.fromkeys(left + right for left, right in merges())
    return [*CONTROL, *byte_alphabet().values(), *merged]


@lru_cache(maxsize=1)
def ids() -> dict[str, int]:
    """The id of each token, keyed as in `tokens`."""
    return {token: number for number, token in enumerate(tokens())}


def word_id(word: str) -> int:
    """The id of a control tag or of a word that is one token, such as ` hit` or ` 126`."""
    return ids()[word if word in CONTROL else spelled(word)]
