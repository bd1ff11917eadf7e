"""Tokenizers: trained on the corpus, or an existing one; either way a folder that `AutoTokenizer` opens without our code.

A trained one is byte-level BPE (Sennrich et al., 2016; Radford et al., 2019), so that every text has an encoding and
decodes to itself. Texts are first cut by the pattern of GPT-4, with one change that Qwen 2 made too: every digit stands
alone. Groups of three would spend 1,100 tokens of a small vocabulary on numbers, and cut them from the wrong end.
Chinese, which has no spaces, is cut at punctuation and digits only, so its words are found by the merges. One of characters
(`characters.py`) has no merges.
"""

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import pyarrow as pa

from pipeline.documents import Documents
from pipeline.errors import RequestError, RunError
from pipeline.storage import checksum_of
from pipeline.tokens.characters import character_tokenizer, counted
from pipeline.tokens.sample import Sample, sample_of
from pipeline.tokens.split import Split
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.fingerprint import later
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

END_OF_TEXT = "<|endoftext|>"
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # English contractions
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"  # a run of letters, with the space or sign before it
    r"|\p{N}"  # one digit
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"  # a run of punctuation, with the line's end
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"  # line ends and spaces; a word keeps the space before it
)
BYTES = 256
TokenizerKind = Literal["bpe", "characters"]
FILES, CONFIG, TOKENIZER = "tokenizer", "tokenizer_config.json", "tokenizer.json"


class TokenizerFiles(Artifact):
    """A tokenizer: a folder with tokenizer.json and tokenizer_config.json."""

    @property
    def path(self) -> Path:
        """The local folder."""
        return self.folder(FILES)

    @property
    def vocab_size(self) -> int:
        """One more than the greatest id."""
        return int(self.facts["vocabulary"])

    @property
    def end_of_text(self) -> int:
        """The id that ends a document."""
        return int(self.facts["end_of_text"])


@dataclass(frozen=True, kw_only=True)
class TrainTokenizer(Step[TokenizerFiles]):
    """Train a byte-level BPE of `vocab_size` tokens on what `split` does not hold out.

    At most `sample_bytes` of text (UTF-8) are used, of documents chosen by a hash of their ids; they are held in memory. A tokenizer
    of characters has at most `vocab_size` tokens, and is made of all of the text.
    """

    artifact: ClassVar[type[Artifact]] = TokenizerFiles
    documents: Step[Documents] | tuple[Step[Documents], ...]
    vocab_size: int
    split: Split = field(default_factory=Split)
    sample_bytes: int = 32 << 20
    kind: TokenizerKind = later("bpe")

    def __post_init__(self) -> None:
        if not BYTES < self.vocab_size <= 1 << 24:
            raise RequestError(f"vocab_size is {self.vocab_size}: use more than {BYTES} (every byte is a token), and at most {1 << 24}")
        if self.sample_bytes < 1 << 10:
            raise RequestError(f"sample_bytes is {self.sample_bytes}: a tokenizer is trained on at least 1,024 bytes of text")
        if self.documents == ():
            raise RequestError("documents is empty: name at least one step to train a tokenizer on")
        if self.kind not in get_args(TokenizerKind):
            raise RequestError(f"kind is {self.kind!r}: use {' or '.join(get_args(TokenizerKind))}")

    def run(self, context: Context) -> Facts:
        (receipt,) = context.map(self.train, (None,))
        return receipt.facts

    def train(self, unit: Unit, _: None) -> Facts:
        """One unit: sample, train, write."""
        steps = self.documents if isinstance(self.documents, tuple) else (self.documents,)
        corpora = [unit.open(step) for step in steps]
        batches = chain.from_iterable(corpus.batches(shard, ("id", "text")) for corpus in corpora for shard in corpus.shards)
        form, documents, size = self._bpe(batches) if self.kind == "bpe" else self._characters(batches)
        if not documents:
            raise RunError(
                f"there is no document to train a tokenizer on in {', '.join(step.address for step in steps)}: keep more of them"
            )
        files = {TOKENIZER: form, CONFIG: config_json({"eos_token": END_OF_TEXT})}
        return {**write_files(unit, files), "documents": documents, "bytes": size}

    def _bpe(self, batches: Iterable[pa.RecordBatch]) -> tuple[bytes, int, int]:
        """A tokenizer.json, and how many documents and bytes it was made of."""
        sample = sample_of(batches, self.split, self.sample_bytes)
        return train_bpe(sample, self.vocab_size), len(sample.heap), sample.size

    def _characters(self, batches: Iterable[pa.RecordBatch]) -> tuple[bytes, int, int]:
        characters, documents, size = counted(batches, self.split)
        return character_tokenizer(characters, self.vocab_size, END_OF_TEXT), documents, size


def train_bpe(sample: Sample, vocab_size: int) -> bytes:
    """The tokenizer.json of a byte-level BPE. The same bytes for the same sample, whatever the number of threads."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample.texts(), trainer)
    return tokenizer.to_str(pretty=True).encode()


@dataclass(frozen=True, kw_only=True)
class ExistingTokenizer(Step[TokenizerFiles]):
    """A tokenizer that is there already; made by `ExistingTokenizer.at(LOCATION)`.

    Its identity is the digest of its files, so that neither a moved file nor a renamed model is another tokenizer.
    """

    artifact: ClassVar[type[Artifact]] = TokenizerFiles
    digest: str
    location: str = field(metadata={"identity": False})
    end_of_text: str | None = field(default=None, metadata={"identity": False})

    @classmethod
    def at(cls, location: str, end_of_text: str | None = None) -> "ExistingTokenizer":
        """The tokenizer at `location`: a tokenizer.json, a folder with one, or the name of a model on Hugging Face
        (OWNER/NAME[@REVISION]).

        `end_of_text` names the token that ends a document, where the tokenizer does not say it. Raises RequestError
        where there is no such tokenizer, or none of its tokens ends a text.
        """
        from pipeline.tokens.existing import read_tokenizer

        return cls(digest=digest_of(read_tokenizer(location, end_of_text)), location=location, end_of_text=end_of_text)

    def run(self, context: Context) -> Facts:
        from pipeline.tokens.existing import read_tokenizer

        files = read_tokenizer(self.location, self.end_of_text)  # here, since workers need not see the location
        if digest_of(files) != self.digest:
            raise RunError(f"the tokenizer at {self.location!r} has changed since the run was asked for: start the run again")
        (receipt,) = context.map(self.keep, (files,))
        return receipt.facts

    def keep(self, unit: Unit, files: Mapping[str, bytes]) -> Facts:
        """One unit: write the files as they are."""
        return write_files(unit, files)


def config_json(fields: Mapping[str, Any]) -> bytes:
    """A tokenizer_config.json that makes AutoTokenizer take tokenizer.json as it is."""
    return (json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **fields}, indent=2, ensure_ascii=False) + "\n").encode()


def digest_of(files: Mapping[str, bytes]) -> str:
    """A digest of a tokenizer's files."""
    return checksum_of(b"".join(checksum_of(data).encode() for _, data in sorted(files.items())))


def write_files(unit: Unit, files: Mapping[str, bytes]) -> Facts:
    """Add a tokenizer's folder to the artifact; says the size of its vocabulary and which id ends a text."""
    with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        unit.write_folder(FILES, Path(folder))
    vocabulary = entries_of(files)
    end_of_text = json.loads(files[CONFIG])["eos_token"]
    return {"vocabulary": max(vocabulary.values()) + 1, "end_of_text": vocabulary[end_of_text], "end_of_text_token": end_of_text}


def entries_of(files: Mapping[str, bytes]) -> dict[str, int]:
    """The id of every token of a tokenizer, special ones too."""
    from tokenizers import Tokenizer

    entries: dict[str, int] = Tokenizer.from_str(files[TOKENIZER].decode()).get_vocab(with_added_tokens=True)
    return entries
