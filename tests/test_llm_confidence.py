"""Confidence from the probabilities of tokens, as servers report them."""

import math

import pytest

from tasks.engines.llm.base import Alternative, ReplyToken
from tasks.engines.llm.confidence import measure
from tests.ollama.recording import load

NAMES = ("invoice", "insurance", "letter", "bank", "bank_statement", "other")


def token(text: str, **probabilities: float) -> ReplyToken:
    """A token with its alternatives by probability; `_` stands for a space, `Q` for a quotation mark."""
    listed = {name.replace("_", " ").replace("Q", '"'): share for name, share in probabilities.items()}
    return ReplyToken(
        token=text,
        logprob=math.log(listed.get(text, 1e-9)),
        alternatives=tuple(
            Alternative(token=name, logprob=math.log(share)) for name, share in listed.items()
        ),
    )


def opening(*texts: str) -> list[ReplyToken]:
    return [token(text, nonsense=0.9) for text in texts]


HEAD = opening('{"', "category", '":', ' "')
END = opening('"}')


def test_a_name_of_one_token() -> None:
    shares = measure([*HEAD, token("letter", letter=0.6, other=0.2, dog=0.2), *END], "category", NAMES)
    assert shares is not None
    assert shares["letter"] == pytest.approx(0.75)
    assert shares["other"] == pytest.approx(0.25)
    assert sum(shares.values()) == pytest.approx(1)


def test_names_that_part_after_several_tokens() -> None:
    tokens = [
        *HEAD,
        token("in", **{"in": 0.8, "letter": 0.2}),
        token("voice", voice=0.6, surance=0.3, come=0.1),
        *END,
    ]
    shares = measure(tokens, "category", NAMES)
    assert shares is not None
    assert shares["invoice"] == pytest.approx(0.8 * 2 / 3)
    assert shares["insurance"] == pytest.approx(0.8 / 3)
    assert shares["letter"] == pytest.approx(0.2)


def test_a_name_that_begins_another_is_decided_where_it_ends() -> None:
    tokens = [*HEAD, token("bank", bank=1.0), ReplyToken(
        token='"}',
        logprob=math.log(0.7),
        alternatives=(
            Alternative(token='"}', logprob=math.log(0.7)),
            Alternative(token="_state", logprob=math.log(0.3)),
        ),
    )]  # fmt: skip
    shares = measure(tokens, "category", NAMES)
    assert shares is not None
    assert shares["bank"] == pytest.approx(0.7)
    assert shares["bank_statement"] == pytest.approx(0.3)


def test_other_spellings_of_a_name_count_for_it() -> None:
    first = token("letter", letter=0.3, Letter=0.2, _letter=0.1, QletterQ=0.1, other=0.3)
    shares = measure([*HEAD, first, *END], "category", NAMES)
    assert shares is not None
    assert shares["letter"] == pytest.approx(0.7)


def test_a_token_may_hold_the_quotation_mark_and_the_name() -> None:
    tokens = [*opening('{"category":'), ReplyToken(
        token=' "letter',
        logprob=math.log(0.9),
        alternatives=(
            Alternative(token=' "letter', logprob=math.log(0.9)),
            Alternative(token=' "other', logprob=math.log(0.1)),
        ),
    ), *END]  # fmt: skip
    shares = measure(tokens, "category", NAMES)
    assert shares is not None
    assert shares["letter"] == pytest.approx(0.9)


def test_a_name_that_was_not_listed_gets_no_more_than_the_last_one_listed() -> None:
    shares = measure([*HEAD, token("letter", letter=0.5, dog=0.2, cat=0.1), *END], "category", NAMES)
    assert shares is not None
    assert 0 < shares["other"] <= 0.1
    assert shares["letter"] > 0.5


def test_what_the_grammar_chose_against_the_model_is_unlikely() -> None:
    chosen = token("letter", other=0.6, dog=0.3, cat=0.1)  # the model alone would have said `other`
    shares = measure([*HEAD, chosen, *END], "category", NAMES)
    assert shares is not None
    assert shares["letter"] < 0.01
    assert shares["other"] > 0.9


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        [*opening("letter")],
        [*HEAD, token("letter", dog=0.6, cat=0.4), *END],
        [*HEAD, ReplyToken(token="letter", logprob=-0.1), *END],
    ],
)
def test_nothing_is_measured_where_no_name_was_listed(tokens: list[ReplyToken]) -> None:
    assert measure(tokens, "category", NAMES) is None


@pytest.mark.parametrize(
    "name", ["05-chat-tiny-ct-format-stream-logprobs", "30-native-format-nostream-logprobs"]
)
def test_what_a_real_server_reported_adds_up(name: str) -> None:
    lines = load(name).answer.lines
    tokens = [
        ReplyToken(
            token=each["token"],
            logprob=each["logprob"],
            alternatives=tuple(
                Alternative(token=other["token"], logprob=other["logprob"])
                for other in each.get("top_logprobs", ())
            ),
        )
        for line in lines
        for each in line.get("logprobs", ())
    ]
    names = ("invoice", "contract", "letter", "report", "other")
    shares = measure(tokens, "category", names)
    assert shares is not None
    assert sum(shares.values()) == pytest.approx(1)
    # At the token `c` it listed `c` and `invoice`; the three others were not among the five listed.
    assert shares["contract"] > shares["invoice"] > shares["letter"] > 0
    assert shares["letter"] == pytest.approx(shares["other"], rel=0.05)
