"""The encoding seam: whichever encoder works, the ids are those of the reference."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from pipeline.tokens.encoder import (
    COMPARED_CHARACTERS,
    COMPARED_STRIDE,
    SOUGHT_STRIDE,
    Compared,
    Encoded,
    Encoder,
    Fast,
    NotTheReference,
    Reference,
    compared_places,
    open_encoders,
)
from pipeline.tokens.sample import Sample
from pipeline.tokens.tokenizer import END_OF_TEXT, train_bpe

LEARNED = (
    "The quick brown fox jumps over the lazy dog; it's 12 o'clock, they'll say. ",
    "def main(argument):\n    return [argument, 1234.5]\n\n\n",
    "武德军节度判官司欧陽炯撰，镂玉雕琼，拟化工而迥巧；裁花剪叶，夺春艳以争鲜。",
    "Größe, naïveté, Ελληνικά, русский язык — “quoted” … ",
)
ODD = (
    "",
    " ",
    "\n\n \t\r\n x",
    "a" * 3000,
    "\u0000\u0007\u200b\ufeff\u00ad",
    "e\u0301\u0301\u0301 नि 👩‍👩‍👧‍👦 \U0010ffff",
    "١٢٣ ½ Ⅷ ²",
    "I'M it'ſ 'S'T'RE'VE'M'LL'D",
    "\u3000全角　空格\u2028\u2029\x85",
    END_OF_TEXT,
    f"a{END_OF_TEXT}b {END_OF_TEXT}",
)


def trained(texts: Sequence[str], vocab_size: int) -> bytes:
    sample = Sample(1 << 20, heap=[(-number, str(number), text.encode()) for number, text in enumerate(texts)])
    return train_bpe(sample, vocab_size)


@pytest.fixture(scope="module")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    place.write_bytes(trained([text * 3 for text in LEARNED], 700))
    return place


@pytest.fixture(scope="module")
def reference(tokenizer_json: Path) -> Reference:
    return Reference(tokenizer_json)


@pytest.fixture(scope="module")
def fast(reference: Reference) -> Fast:
    return Fast(reference)


def check_equal(one: Encoder, other: Encoder, texts: Sequence[str]) -> None:
    mine, theirs = one.encode_batch(texts), other.encode_batch(texts)
    np.testing.assert_array_equal(mine.offsets, theirs.offsets)
    np.testing.assert_array_equal(mine.ids, theirs.ids)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=300)
@given(texts=st.lists(TEXT | st.text("aA1 '\n中.", max_size=60), max_size=8))
@example(texts=list(ODD))
def test_the_fast_encoder_gives_the_ids_of_the_reference(texts: list[str], fast: Fast, reference: Reference) -> None:
    check_equal(fast, reference, texts)


def test_the_fast_encoder_gives_the_ids_of_the_reference_on_a_text_of_a_megabyte(fast: Fast, reference: Reference) -> None:
    check_equal(fast, reference, ["".join(LEARNED) * 3000, "x" * 200_000, LEARNED[2].replace("，", "") * 2000])


def test_the_fast_encoder_gives_the_ids_of_the_reference_with_the_vocabulary_of_gpt2(shared_data: Path) -> None:
    encoders = open_encoders(shared_data / "tokenizers" / "gpt2.tokenizer.json")
    assert encoders.compared is not None
    check_equal(encoders.compared, encoders.reference, [*ODD, *LEARNED])


@settings(max_examples=100)
@given(text=TEXT)
@example(text="".join(ODD))
def test_every_text_decodes_to_itself(text: str, reference: Reference) -> None:
    assert reference.tokenizer.decode(reference.encode_batch([text]).ids.tolist(), skip_special_tokens=False) == text


def test_what_looks_like_a_special_token_is_encoded_as_its_characters(reference: Reference, fast: Fast) -> None:
    special = reference.tokenizer.token_to_id(END_OF_TEXT)
    for encoder in (reference, fast):
        ids = encoder.encode_batch([f"before {END_OF_TEXT} after"]).ids
        assert special not in ids
        assert reference.tokenizer.decode(ids.tolist()) == f"before {END_OF_TEXT} after"


def test_truncation_and_padding_of_a_foreign_tokenizer_do_not_count(tokenizer_json: Path, reference: Reference, tmp_path: Path) -> None:
    foreign = Tokenizer.from_file(str(tokenizer_json))
    foreign.enable_truncation(3)
    foreign.enable_padding(length=50)
    foreign.save(str(tmp_path / "tokenizer.json"))
    encoders = open_encoders(tmp_path / "tokenizer.json")
    assert encoders.compared is not None
    for encoder in (encoders.reference, encoders.compared):
        check_equal(encoder, reference, LEARNED)


def test_an_encoder_that_gives_other_ids_is_found_out(reference: Reference, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_bytes(trained(["something else entirely, else, else"], 300))
    other = Fast(Reference(tmp_path / "other.json"))
    with pytest.raises(NotTheReference, match="other ids for 'The quick"):
        Compared(other, reference).encode_batch(LEARNED)


def test_other_ids_late_in_a_long_document_are_found_in_its_beginning(reference: Reference, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_bytes(trained(["something else entirely, else, else"], 300))
    other = Fast(Reference(tmp_path / "other.json"))
    with pytest.raises(NotTheReference):
        Compared(other, reference).encode_batch([LEARNED[0] * 2000])


def test_an_encoder_that_fails_is_not_the_reference(reference: Reference) -> None:
    class Failing:
        def encode_batch(self, texts: Sequence[str]) -> Encoded:
            raise MemoryError("no room")

    with pytest.raises(NotTheReference, match="failed: no room"):
        Compared(Failing(), reference).encode_batch(LEARNED)


def test_odd_documents_are_compared_beside_an_even_sample() -> None:
    texts = ["plain"] * (2 * COMPARED_STRIDE)
    for place in (SOUGHT_STRIDE, 3 * SOUGHT_STRIDE, 3 * SOUGHT_STRIDE + 1):
        texts[place] = "zero\u200bwidth, e\u0301"
    assert compared_places(texts) == [0, SOUGHT_STRIDE, 3 * SOUGHT_STRIDE, COMPARED_STRIDE]


def test_a_tokenizer_that_the_fast_encoder_does_not_know_is_left_to_the_reference(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    unigram = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁a", -1.0), ("b", -2.0)], unk_id=0))
    unigram.normalizer, unigram.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
    unigram.save(str(tmp_path / "tokenizer.json"))
    with caplog.at_level(logging.WARNING):
        encoders = open_encoders(tmp_path / "tokenizer.json")
    assert encoders.compared is None
    assert "the reference encodes all" in caplog.text
    assert encoders.reference.encode_batch(["ab", "", "a"]).offsets.tolist() == [0, 2, 2, 3]


def test_a_pattern_learns_no_token_across_digits() -> None:
    vocabulary = json.loads(trained(["year 2026 2026 2026 " * 50], 400))["model"]["vocab"]
    assert "2026" not in vocabulary
    assert "20" not in vocabulary
    assert "Ġyear" in vocabulary


@pytest.mark.parametrize("odd", ["\x00", "\x7f", "\u200b", "\ue000", "e\u0301", "\U000e0001"])
def test_a_text_is_odd_by_what_of_it_is_compared(odd: str) -> None:
    texts = ["plain\ttext\r\n中文 é"] * (2 * SOUGHT_STRIDE)
    texts[SOUGHT_STRIDE] = "x" * (COMPARED_CHARACTERS - len(odd)) + odd
    assert compared_places(texts) == [0, SOUGHT_STRIDE]
    texts[SOUGHT_STRIDE] = f"x{texts[SOUGHT_STRIDE]}"[:COMPARED_CHARACTERS] + odd[-1]
    assert compared_places(texts) == [0]


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_a_text_that_spells_tokens_out_is_never_given_to_a_fast_encoder_that_would_find_them(tmp_path: Path, byte_fallback: bool) -> None:
    vocabulary = {
        token: number for number, token in enumerate([END_OF_TEXT, *(f"<0x{byte:02X}>" for byte in range(256)), *"<>|0x41endoftext"])
    }
    tokenizer = Tokenizer(models.BPE(dict(vocabulary), [], byte_fallback=byte_fallback))
    tokenizer.add_special_tokens([END_OF_TEXT])
    place = tmp_path / "tokenizer.json"
    tokenizer.save(str(place))
    encoders = open_encoders(place)
    found = (encoders.compared or encoders.reference).encode_batch([f"<0x41>{END_OF_TEXT}"]).ids
    assert not set(found.tolist()) & set(range(257))
