"""Documents packed into windows."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches.packing import Windows
from tests.batches.streams import END, PIECES, Document, plain_stream, plain_window, stream_of

CONTEXTS = st.integers(1, 12)


@given(PIECES, CONTEXTS)
def test_windows_are_those_of_the_plain_packing(pieces: list[list[Document]], context: int) -> None:
    plain = plain_stream([document for piece in pieces for document in piece])
    windows = Windows(stream_of(pieces), context)
    assert windows.stream.length == len(plain)
    assert windows.count == max(0, (len(plain) - 1) // context)
    batch = windows.batch(range(windows.count))
    for window in range(windows.count):
        tokens, documents, positions = plain_window(plain, window, context)
        assert batch.tokens[window].tolist() == tokens
        assert batch.documents[window].tolist() == documents
        assert batch.positions[window].tolist() == positions


@given(PIECES, CONTEXTS)
def test_every_token_but_the_rest_is_an_input_once_and_a_target_once(pieces: list[list[Document]], context: int) -> None:
    plain = [token.id for token in plain_stream([document for piece in pieces for document in piece])]
    windows = Windows(stream_of(pieces), context)
    batch = windows.batch(range(windows.count))
    assert batch.tokens[:, :-1].ravel().tolist() == plain[: windows.count * context]
    assert batch.tokens[:, 1:].ravel().tolist() == plain[1 : windows.count * context + 1]


@given(PIECES, CONTEXTS)
def test_positions_restart_and_segments_change_exactly_after_a_document_ends(pieces: list[list[Document]], context: int) -> None:
    windows = Windows(stream_of(pieces), context)
    batch = windows.batch(range(windows.count))
    for tokens, documents, positions in zip(batch.tokens, batch.documents, batch.positions, strict=True):
        assert (documents[0], positions[0]) == (0, 0)
        for place in range(1, context):
            begins = tokens[place - 1] == END
            assert documents[place] - documents[place - 1] == begins
            assert positions[place] == (0 if begins else positions[place - 1] + 1)


@given(PIECES, CONTEXTS)
def test_a_window_names_the_documents_of_its_tokens_and_a_document_its_windows(pieces: list[list[Document]], context: int) -> None:
    plain = plain_stream([document for piece in pieces for document in piece])
    windows = Windows(stream_of(pieces), context)
    expected: dict[str, list[int]] = {str(number): [] for number in range(sum(map(len, pieces)))}
    for window in range(windows.count):
        inside = dict.fromkeys(str(token.document) for token in plain[window * context : (window + 1) * context + 1])
        assert list(windows.documents(window)) == list(inside)
        for document in inside:
            expected[document].append(window)
    for document, found in expected.items():
        assert windows.of(document) == found


def test_a_document_that_is_not_there_has_no_windows() -> None:
    assert Windows(stream_of([[[1, 2, 3]]]), 2).of("other") == []


def test_a_batch_of_no_windows_is_empty() -> None:
    batch = Windows(stream_of([[[1, 2, 3]]]), 2).batch([])
    assert (batch.tokens.shape, batch.documents.shape, batch.positions.shape) == ((0, 3), (0, 2), (0, 2))
    assert (batch.tokens.dtype, batch.documents.dtype, batch.positions.dtype) == ("int64", "int32", "int32")
