"""Maps of documents: labels that can be read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.documents.drawing import Label, apart

#: A code of ten letters is 12.5 mm wide and a line 2.6 mm high.
CODE = "1-12-45-10"


def test_a_label_lies_on_none_before_it() -> None:
    first = Label("length", 50, 50, CODE)
    on_it, beside, above = (
        Label("neighbour", 60, 51, CODE),
        Label("neighbour", 63, 50, CODE),
        Label("neighbour", 50, 47, CODE),
    )
    assert apart([first, on_it, beside, above]) == [first, beside, above]


def test_turned_labels_need_the_room_they_take() -> None:
    along = Label("street", 50, 50, CODE, angle=90)
    beside, over = Label("neighbour", 58, 50, CODE), Label("neighbour", 50, 55, CODE)
    assert apart([along, beside, over]) == [along, beside]


@given(st.lists(st.tuples(st.floats(0, 170), st.floats(0, 100)), max_size=30))
def test_the_first_is_kept_and_what_is_kept_stays(places: list[tuple[float, float]]) -> None:
    labels = [Label("neighbour", x, y, CODE) for x, y in places]
    kept = apart(labels)
    assert kept[:1] == labels[:1]
    assert apart(kept) == kept
