"""Windows of a text that does not fit."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.finetune.overlaps import overlapping

COUNTS, ROOMS, SHARES = st.integers(0, 200), st.integers(1, 40), st.integers(2, 5)


@given(COUNTS, ROOMS, SHARES)
def test_every_token_is_the_own_one_of_one_window_that_has_it_and_no_window_is_too_long(count: int, room: int, share: int) -> None:
    windows = list(overlapping(count, room, room // share))
    assert [place for window in windows for place in range(window.first, window.last)] == list(range(count))
    for window in windows:
        assert window.begin <= window.first <= window.last <= window.end
        assert window.end - window.begin == min(room, count)


@given(COUNTS, ROOMS, SHARES, st.data())
def test_a_span_as_long_as_the_overlap_is_whole_in_some_window(count: int, room: int, share: int, data: st.DataObject) -> None:
    length = min(count, room // share)
    begin = data.draw(st.integers(0, count - length))
    assert any(window.begin <= begin and begin + length <= window.end for window in overlapping(count, room, room // share))


@given(COUNTS, ROOMS)
def test_no_other_window_shows_more_around_a_token_than_the_one_whose_own_it_is(count: int, room: int) -> None:
    windows = list(overlapping(count, room, room // 2))

    def around(place: int, begin: int, end: int) -> int:
        return min(place - begin if begin else count, end - 1 - place if end < count else count)

    for own in windows:
        for place in range(own.first, own.last):
            shown = [around(place, other.begin, other.end) for other in windows if other.begin <= place < other.end]
            assert around(place, own.begin, own.end) >= max(shown) - 1
