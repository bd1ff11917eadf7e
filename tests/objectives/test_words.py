"""Where words begin, in every script, whatever the tokenizer made of them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from pipeline.errors import RequestError
from pipeline.objectives.lexicon import Lexicon
from pipeline.objectives.masked_tokens import MaskedTokens
from pipeline.objectives.words import word_starts
from tests.objectives.texts import CHINESE, RARE, encoded, lexicon_of, spelled, texts, words_of


@pytest.fixture(scope="module")
def lexicon(tokenizer_json: Path) -> Lexicon:
    return lexicon_of(tokenizer_json, MaskedTokens(), 64)


def words(lexicon: Lexicon, text: str) -> list[str]:
    return [word.decode() for word in words_of(lexicon, encoded(lexicon, text))]


def test_english_words_and_numbers_are_whole_and_cut_at_spaces_and_signs(lexicon: Lexicon) -> None:
    found = [word.strip() for word in words(lexicon, "The Heronlike fox, number 20245, didn't stop-over.")]
    assert " ".join(word for word in found if word) == "The Heronlike fox , number 20245 , didn 't stop - over ."


def test_a_letter_that_the_tokenizer_split_in_bytes_is_inside_its_word(lexicon: Lexicon) -> None:
    assert "œuvré" in words(lexicon, "an œuvré")
    assert len(encoded(lexicon, "œuvré")) > 5


def test_each_chinese_character_that_no_piece_joins_is_a_word(lexicon: Lexicon) -> None:
    text = "荒盈玄昃"
    assert words(lexicon, text) == list(text)


def test_a_piece_of_chinese_characters_is_a_word(lexicon: Lexicon) -> None:
    found = words(lexicon, CHINESE)
    assert "".join(found) == CHINESE
    assert any(len(word) > 1 for word in found), "the tokenizer found pieces"
    assert len(found) == len(encoded(lexicon, CHINESE))


def test_the_bytes_of_one_rare_character_are_one_word(lexicon: Lexicon) -> None:
    assert words(lexicon, RARE) == list(RARE)
    assert len(encoded(lexicon, RARE)) == 3 * len(RARE)


def test_chinese_and_latin_letters_side_by_side_are_different_words(lexicon: Lexicon) -> None:
    assert words(lexicon, "fox龘naïve昃7龘") == ["fox", "龘", "naïve", "昃", "7", "龘"]


def test_other_scripts_without_spaces_are_words_by_character_and_marks_stay_with_their_letters(lexicon: Lexicon) -> None:
    assert words(lexicon, "น้ำかなカナ") == ["น้", "ำ", "か", "な", "カ", "ナ"]
    assert words(lexicon, "한국어") == ["한국어"]
    assert words(lexicon, "xe\u0301z") == ["xe\u0301z"]


@given(text=texts)
def test_words_are_whole_characters_and_make_up_the_text(tokenizer_json: Path, text: str) -> None:
    lexicon = lexicon_of(tokenizer_json, MaskedTokens(), 64)
    assert "".join(words(lexicon, text)) == text  # decoding fails where a character is parted


@given(text=texts, other=texts)
@example(text="1", other="\u0e491")
def test_no_word_reaches_into_the_next_document(tokenizer_json: Path, text: str, other: str) -> None:
    lexicon = lexicon_of(tokenizer_json, MaskedTokens(), 64)
    first, second = encoded(lexicon, text), encoded(lexicon, other)
    window = np.concatenate([first, [lexicon.end_of_text], second])[None]
    begins = np.isin(np.arange(window.shape[1]), [0, len(first) + 1])[None]
    starts = word_starts(window, begins, lexicon.spelling)[0]
    alone = [word_starts(part[None], np.arange(len(part))[None] == 0, lexicon.spelling)[0] for part in (first, second)]
    assert starts.tolist() == [*alone[0], True, *alone[1]]


@settings(max_examples=300)
@given(text=texts, other=texts, cut=st.integers(0, 8))
@example(text="a", other="\u00e9\U00020001b", cut=1)
def test_a_window_is_cut_into_words_whatever_window_stands_before_it(tokenizer_json: Path, text: str, other: str, cut: int) -> None:
    lexicon = lexicon_of(tokenizer_json, MaskedTokens(), 64)
    window, before = encoded(lexicon, other)[cut:], encoded(lexicon, text)  # the window may begin inside a character
    size = min(len(window), len(before))
    if size:
        rows = np.stack([before[-size:], window[:size]])
        begins = np.arange(size)[None].repeat(2, axis=0) == 0
        together = word_starts(rows, begins, lexicon.spelling)
        assert together[1].tolist() == word_starts(rows[1:], begins[1:], lexicon.spelling)[0].tolist()


def saved(folder: Path, tokenizer: Tokenizer) -> Lexicon:
    place = folder / "tokenizer.json"
    tokenizer.add_special_tokens(["<eos>"])
    tokenizer.save(str(place))
    return Lexicon(place, tokenizer.get_vocab_size(), tokenizer.token_to_id("<eos>"), ("<|mask|>",))


def test_pieces_of_wordpiece_say_which_go_on(tmp_path: Path) -> None:
    pieces = ["[UNK]", "jump", "##ing", "fox", "天", "地", ","]
    lexicon = saved(tmp_path, Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]")))
    assert words_of(lexicon, np.array([1, 2, 3, 4, 5, 6])) == [b" jumping", b" fox", " 天".encode(), " 地".encode(), b" ,"]


def test_pieces_of_a_sentencepiece_with_bytes_are_read_too(tmp_path: Path) -> None:
    pieces = ["▁the", "▁f", "ox", "天", "<0xE9>", "<0xBE>", "<0x98>"]
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    assert words_of(saved(tmp_path, tokenizer), np.arange(7)) == [b" the", b" fox", "天".encode(), "龘".encode()]


def test_a_tokenizer_whose_words_cannot_be_told_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(RequestError, match="WordLevel"):
        MaskedTokens().questions(saved(tmp_path, tokenizer), "window", 0)


def test_an_added_token_that_is_no_special_one_spells_its_text(tmp_path: Path, tokenizer_json: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    tokenizer.add_tokens(["龘fox"])
    lexicon = saved(tmp_path, tokenizer)
    assert spelled(lexicon, [tokenizer.token_to_id("龘fox")]) == "龘fox".encode()
