"""Tokens as people read them: nothing of a text is lost, and parts of a character are known as such."""

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, BertTokenizerFast, PreTrainedTokenizerFast

from pipeline.inference.pieces import Piece, pieces
from tests.evaluate.conftest import Trained


def whole(found: list[Piece]) -> str:
    return "".join(piece.text for piece in found if piece.part == 1)


@given(st.text(max_size=60))
def test_the_pieces_of_a_text_say_the_text(trained: Trained, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(trained.folder)
    ids = tokenizer(text, split_special_tokens=True)["input_ids"]
    found = pieces(tokenizer, ids)
    assert len(found) == len(ids)
    assert whole(found) == text
    assert b"".join(piece.data for piece in found) == text.encode()


def test_parts_of_a_character_say_which_character_and_part_they_are(trained: Trained) -> None:
    tokenizer = AutoTokenizer.from_pretrained(trained.folder)
    found = pieces(tokenizer, tokenizer("龘")["input_ids"])
    assert [(piece.text, piece.part, piece.parts) for piece in found] == [("龘", 1, 3), ("龘", 2, 3), ("龘", 3, 3)]


def test_a_character_that_is_cut_off_stands_as_what_is_there(trained: Trained) -> None:
    tokenizer = AutoTokenizer.from_pretrained(trained.folder)
    (half, special) = pieces(tokenizer, [tokenizer("龘")["input_ids"][0], tokenizer.eos_token_id])
    assert (half.text, half.data, half.parts) == ("\ufffd", b"\xe9", 1)
    assert (special.text, special.special) == ("<|endoftext|>", True)


def test_tokens_that_only_the_models_matrix_has_are_named_by_number(trained: Trained) -> None:
    tokenizer = AutoTokenizer.from_pretrained(trained.folder)
    assert pieces(tokenizer, [99_999])[0].text == "<99999>"


def test_word_pieces_and_bytes_of_sentencepiece_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"]))
    words = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    assert [piece.text for piece in pieces(words, words("playing")["input_ids"])] == ["[CLS]", "play", "##ing", "[SEP]"]
    fallback = PreTrainedTokenizerFast(tokenizer_object=_byte_fallback())
    assert [(piece.text, piece.parts) for piece in pieces(fallback, fallback("a é")["input_ids"])] == [
        ("a", 1),
        (" ", 1),
        ("é", 2),
        ("é", 2),
    ]


def _byte_fallback() -> Any:
    vocabulary = {token: place for place, token in enumerate(["<unk>", "a", "▁", *(f"<0x{byte:02X}>" for byte in range(256))])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="never")])
    return tokenizer
