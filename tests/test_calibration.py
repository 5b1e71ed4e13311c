"""Confidence is what it has been worth: what people confirmed and corrected decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.calibration import Curve, Decision, Sureness, load_calibration
from tasks.documents import FieldStatus, State
from tests.test_corrections import INVOICE, Desk, desk  # noqa: F401 - a fixture

confidences = st.floats(0, 1)
decisions = st.lists(st.builds(Decision, confidences, st.booleans()), max_size=60)


def decided(confidence: float, right: int, wrong: int) -> list[Decision]:
    return [Decision(confidence, True)] * right + [Decision(confidence, False)] * wrong


@pytest.mark.parametrize("confidence", [0.05, 0.3, 0.5, 0.77, 0.95])
def test_where_nobody_has_said_anything_confidence_stands(confidence: float) -> None:
    assert Curve([]).worth(confidence) == pytest.approx(confidence)


def test_what_was_always_right_is_sure_and_what_was_always_wrong_is_not() -> None:
    assert Curve(decided(0.4, 12, 0)).worth(0.4) > 0.75
    assert Curve(decided(0.9, 0, 12)).worth(0.9) < 0.3
    assert Curve(decided(0.9, 0, 1)).worth(0.9) > 0.6  # one mistake is not much


def test_many_decisions_come_near_to_how_often_it_was_right() -> None:
    curve = Curve(decided(0.9, 300, 100) + decided(0.3, 40, 360))
    assert curve.worth(0.9) == pytest.approx(0.75, abs=0.03)
    assert curve.worth(0.3) == pytest.approx(0.10, abs=0.03)


@given(decisions, confidences, confidences)
def test_more_confidence_is_never_worth_less_and_all_is_a_share(
    said: list[Decision], one: float, other: float
) -> None:
    curve = Curve(said)
    low, high = sorted((curve.worth(min(one, other)), curve.worth(max(one, other))))
    assert 0 <= low <= high <= 1
    assert curve.worth(max(one, other)) >= curve.worth(min(one, other)) - 1e-9


@given(decisions)
def test_the_order_of_decisions_does_not_matter(said: list[Decision]) -> None:
    forward, backward = Curve(said), Curve(reversed(said))
    for confidence in (0.0, 0.25, 0.5, 0.9, 1.0):
        assert forward.worth(confidence) == pytest.approx(backward.worth(confidence))


def test_what_people_decide_changes_what_a_reader_is_worth(desk: Desk) -> None:  # noqa: F811
    documents = [desk.read(INVOICE.replace("R-2026-17", f"R-2026-{number}")) for number in range(30, 50)]
    seller = desk.field(documents[0], "seller")
    before = Sureness(desk.ledger, desk.row(documents[0])).of(seller)
    assert before == seller.confidence
    for document in documents[1:]:
        desk.correct(document, "seller", "Somebody Else")
    after = Sureness(desk.ledger, desk.row(documents[0])).of(seller)
    assert after < 0.3 < before
    assert load_calibration(desk.ledger).worth("another engine", "seller", 0.9) == 0.9
    corrected = desk.field(documents[1], "seller")
    assert corrected.status is FieldStatus.CORRECTED
    assert Sureness(desk.ledger, desk.row(documents[1])).of(corrected) == 1.0


def test_an_uncertain_value_of_the_table_goes_to_review_until_it_is_confirmed(desk: Desk) -> None:  # noqa: F811
    documents = [desk.read(INVOICE.replace("R-2026-17", f"R-2026-{number}")) for number in range(50, 70)]
    assert all(desk.row(document).state is State.DONE for document in documents)
    for document in documents:
        desk.correct(document, "seller", "Somebody Else")
    doubted = desk.read(INVOICE.replace("R-2026-17", "R-2026-99"))
    row = desk.row(doubted)
    assert row.state is State.REVIEW
    assert "The seller" in row.message and "is uncertain" in row.message
    desk.correct(doubted, "seller", desk.field(doubted, "seller").value)
    assert desk.row(doubted).state is State.DONE
