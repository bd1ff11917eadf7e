"""A tokenizer of single characters: for small texts, and for figures a character.

The characters that occur are tokens; any other is written as its bytes in UTF-8, each of which is a token too, so that every
text has an encoding and decodes to itself.
"""

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa

from pipeline.tokens.split import Split

BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def counted(batches: Iterable[pa.RecordBatch], split: Split) -> tuple[Counter[str], int, int]:
    """How often each character occurs in what `split` does not hold out, with the number of documents and of bytes (UTF-8)."""
    characters, documents, size = Counter[str](), 0, 0
    for batch in batches:
        rows, held_out = split.parted(batch)
        for text in rows.filter(pa.array(~held_out)).column("text").to_pylist():
            characters.update(text)
            documents += 1
            size += len(text.encode())
    return characters, documents, size


def character_tokenizer(characters: Counter[str], vocab_size: int, end_of_text: str) -> bytes:
    """The tokenizer.json of at most `vocab_size` tokens: the end of a text, the bytes, and the most frequent characters by their places
    in Unicode."""
    from tokenizers import AddedToken, Tokenizer, decoders, models

    ranked = sorted(characters, key=lambda character: (-characters[character], character))
    chosen = sorted(ranked[: vocab_size - len(BYTES) - 1])
    vocabulary = {token: number for number, token in enumerate((end_of_text, *BYTES, *chosen))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(end_of_text, special=True, normalized=False)])
    return tokenizer.to_str(pretty=True).encode()
