"""What is fed in: arbitrary text, bytes and JSON, and valid examples that were changed a little.

Most readers refuse arbitrary input at its first character; what goes deep is nearly right.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

NASTY = (
    *(
        "",
        "\0",
        "\x1b[31m",
        "\x9b1m",
        "\u202e",
        "\u2028",
        "\ufeff",
        "\ud800",
        "\udc80",
        "\udfff",
        "\u0301",
        "\uffff",
    ),
    *("..", "../../etc/passwd", "/", "\\", "//", "C:\\x", "~", "$HOME", "%00", "{}", "{id}", "%s", "*", "-"),
    *(
        "'",
        '"',
        '"""',
        "'''",
        "`",
        "```json",
        "<",
        ">",
        "</script>",
        "<!--",
        "&#x0;",
        "[/foo]",
        "[@click=app.quit]x",
    ),
    *("\r", "\n", "\r\n", "\t", "\f", "\v", "\x85", " ", "\u00a0", "\u200b"),
    *("null", "true", "NaN", "Infinity", "-0", "1e999", "-1", "9" * 30, "0x10", "1_000", "\u0661\u0662"),
    *("[" * 2_000, "{" * 50, '{"a":' * 300, "((" * 100, "a" * 3_000, "<i>" * 300),
    *("=?utf-8?b?AAAA?=", "=?x?q?=00?=", "boundary=", "Content-Type: ", "Content-Transfer-Encoding: base64"),
    *(
        "\\u-123",
        "\\ud800",
        "\\u0000",
        "\\x",
        "31.02.2026",
        "0000-00-00",
        "99.99.9999",
        "1.234,56",
        "1,2,3.4",
    ),
)
"""What has broken readers of text before, here or elsewhere."""

T = TypeVar("T")
_LONGEST = 400


def texts(alphabet: str = "", longest: int = _LONGEST) -> st.SearchStrategy[str]:
    """Any text; with an alphabet, often one of its characters alone."""
    anything = st.text(st.characters() | st.sampled_from("\ud800\udcff\0\x1b\u202e"), max_size=longest)
    of_nasty = st.lists(st.sampled_from(NASTY) | st.text(max_size=5), max_size=8).map("".join)
    return anything | of_nasty | (st.text(alphabet, max_size=longest) if alphabet else st.nothing())


def whole(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Without halves of characters, for what can hold none where it comes from."""
    return strategy.map(lambda text: text.encode("utf-8", "replace").decode())


def mutated(samples: Sequence[str]) -> st.SearchStrategy[str]:
    """A sample with a few changes: parts cut out, doubled, moved or replaced; or its beginning alone."""
    return _mutated(samples, st.sampled_from(NASTY) | st.text(max_size=6))


def mutated_bytes(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """The same with bytes."""
    nasty = st.sampled_from([text.encode("utf-8", "surrogatepass") for text in NASTY])
    return _mutated(samples, nasty | st.binary(max_size=6))


def _mutated(samples: Sequence[Any], pieces: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    kinds = st.sampled_from(("insert", "insert", "replace", "replace", "cut", "double", "move", "end"))
    place = st.floats(0, 1)
    change = st.tuples(kinds, place, place, place, pieces)
    return st.builds(_changed, st.sampled_from(list(samples)), st.lists(change, min_size=1, max_size=6))


def _changed(text: Any, changes: list[tuple[str, float, float, float, Any]]) -> Any:
    for kind, at, length, to, piece in changes:
        start = round(at * len(text))
        end = min(len(text), start + round(length**3 * len(text)))  # mostly short ones
        part, target = text[start:end], round(to * len(text))
        match kind:
            case "insert":
                text = text[:start] + piece + text[start:]
            case "replace":
                text = text[:start] + piece + text[end:]
            case "cut":
                text = text[:start] + text[end:]
            case "double":
                text = text[:end] + part + text[end:]
            case "move":
                text = text[:target] + part + text[target:]
            case _:
                text = text[:start]
    return text


def pieces_of(draw: Callable[[st.SearchStrategy[Any]], Any], whole: Any, most: int = 8) -> list[Any]:
    """Text or bytes, cut anywhere."""
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=most)))
    return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]


def json_values(longest: int = 60) -> st.SearchStrategy[Any]:
    """Any JSON, with the numbers and texts that break things."""
    floats = st.floats(allow_nan=False, allow_infinity=False)
    plain = st.none() | st.booleans() | odd_numbers() | st.integers() | floats
    words = st.text(st.characters(exclude_categories=["Cs"]), max_size=longest)
    leaf = plain | words | st.sampled_from([one for one in NASTY if len(one) < 100 and one.isprintable()])
    return st.recursive(
        leaf,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
        max_leaves=8,
    )


def odd_numbers() -> st.SearchStrategy[float]:
    """Numbers at which something ends: SQLite's, Python's, JavaScript's."""
    return st.sampled_from([0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**40, 1e308, 0.5, -0.0])


def mutated_json(samples: Sequence[Any]) -> st.SearchStrategy[Any]:
    """A sample in which values somewhere were left out, named otherwise, doubled, or are any JSON."""
    kinds = st.sampled_from(("replace", "replace", "remove", "rename", "add", "double"))
    change = st.tuples(st.integers(0, 10**6), kinds, json_values() | odd_numbers())
    return st.builds(_changed_json, st.sampled_from(list(samples)), st.lists(change, min_size=1, max_size=4))


def _changed_json(value: Any, changes: list[tuple[int, str, Any]]) -> Any:
    for place, kind, other in changes:
        spots = _spots(value)
        value = _with(value, spots[place % len(spots)], kind, other)
    return value


def _spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value inside, the whole included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(spot for key, each in inner for spot in _spots(each, (*path, key)))]


def _with(value: Any, path: tuple[Any, ...], kind: str, other: Any) -> Any:
    if not path:
        return other if kind == "replace" else value
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copy[key] = _with(copy[key], tuple(rest), kind, other)
        return copy
    match kind:
        case "replace":
            copy[key] = other
        case "remove":
            del copy[key]
        case "double" if isinstance(copy, list):
            copy.insert(key, copy[key])
        case "rename" if isinstance(copy, dict):
            copy[str(other)[:20]] = copy.pop(key)
        case "add" if isinstance(copy, dict):
            copy[str(other)[:20]] = other
        case _:
            copy[key] = [copy[key]]
    return copy
