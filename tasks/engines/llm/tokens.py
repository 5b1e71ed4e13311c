"""How many tokens a text has, learned for each model from what its server counted.

Four characters a token holds for English and for nothing else: figures, tables and other scripts have up to
ten times as many. So characters are weighed by their kind, and the weights are scaled by what the server
reported for texts before.
"""

from collections import Counter
from functools import lru_cache

from pydantic import BaseModel

# Tokens a character, on the safe side for tokenizers of today: Llama 3, Qwen, Gemma and Mistral need half of
# these for English prose and up to nine tenths for German tables.
_LETTER, _DIGIT, _SPACE, _MARK, _WIDE = 0.45, 1.0, 0.3, 0.9, 1.0
_RECENT = 16
_MARGIN = 1.1
"""Over the worst text of late: the next one may be worse."""
_MIN_LEARN = 150.0
"""Shorter texts say more about the chat template than about the tokenizer."""
_LEAST_UNLEARNED = 0.25
_LEAST_LEARNED = 0.6
_LEAST_CAP = 0.45
"""A model learned on a script that it spells out in bytes needs far fewer tokens for another."""


class TokenEstimate(BaseModel):
    """The estimate for one model. `model_dump` and `model_validate` keep it between processes."""

    model: str
    recent: list[float] = []
    """Tokens counted by the server over tokens expected by weight, the newest last."""

    def learn(self, text: str, tokens: int) -> None:
        """Take in that the server counted `tokens` for `text`, those from its cache included."""
        expected = _weigh(text)
        if expected >= _MIN_LEARN and tokens > 0:
            self.recent = [*self.recent, round(tokens / expected, 4)][-_RECENT:]

    def count(self, text: str) -> float:
        """Tokens of the text, on the safe side. Adds up: the parts of a text have as many as the whole."""
        return _weigh(text) * self._scale()

    def least(self, text: str) -> float:
        """Fewer tokens than the text can have: a server that counts less has not read all of it.

        Only letters and digits count, because there are tokens for whole rows of dots or spaces.
        """
        factor = min(_LEAST_LEARNED * min(self.recent), _LEAST_CAP) if self.recent else _LEAST_UNLEARNED
        letters = "".join(character for character in text if character.isalpha())
        digits = sum(character.isdigit() for character in text)
        return factor * (_weigh(letters) + digits * _LETTER)

    def _scale(self) -> float:
        return max(self.recent) * _MARGIN if self.recent else 1.0


def _weigh(text: str) -> float:
    return sum(count * _weight(character) for character, count in Counter(text).items())


@lru_cache(maxsize=4096)
def _weight(character: str) -> float:
    if character.isdigit():
        return _DIGIT
    if character.isspace():
        return _SPACE
    if not character.isalpha():
        return _MARK
    # Up to here: the Latin alphabet and its accents.
    return _LETTER if character < "\u0250" else _WIDE
