"""Text from a checkpoint: an address in the root, a folder that transformers opens, or the newest one."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO
from unicodedata import category

from jobs.checkpoints import checkpoint_folder
from jobs.command import Invocation, Result, execute
from jobs.prompts import check_output, read_prompts, write_samples
from pipeline.errors import RequestError
from pipeline.inference.chat import Message, conversation, said
from pipeline.inference.generation import Sampling, Written, write
from pipeline.inference.opening import CAUSAL, gaps_of, open_model, open_tokenizer

BETWEEN = "\n\n"


@dataclass(frozen=True, kw_only=True)
class GenerateRecipe:
    """Text from a checkpoint."""

    checkpoint: str | None = None
    """pretrain/FINGERPRINT, or a folder with config.json and safetensors; None: the newest in the root."""
    prompt: tuple[str, ...] = ()
    """What the text begins with; several give several texts. Without any, a text from its beginning."""
    prompts: str | None = None
    """A file of more: a prompt a line, or the field `prompt` of .jsonl, .csv and .parquet."""
    chat: bool = False
    """A prompt is what a user says, and the text the answer; without one, a conversation on the terminal."""
    sequences: int = 1
    """Texts a prompt."""
    stop: tuple[str, ...] = ()
    r"""A text ends before the first of these; \n is a line end."""
    sampling: Sampling = Sampling()

    def __post_init__(self) -> None:
        if self.sequences < 1:
            raise RequestError(f"sequences is {self.sequences}: draw at least 1")
        if "" in self.stop:
            raise RequestError("a stop is empty: give the text before which to stop")

    @property
    def stops(self) -> tuple[str, ...]:
        """What texts end before."""
        return tuple(stop.replace("\\n", "\n") for stop in self.stop)

    def asked(self) -> tuple[str, ...]:
        """All prompts."""
        return self.prompt + (() if self.prompts is None else read_prompts(self.prompts))


@dataclass(frozen=True, kw_only=True)
class Ways:
    """What becomes of the texts."""

    stream: bool = False
    """Show texts while they are drawn, one after the other."""
    output: str | None = None
    """Keep the texts in this file, .jsonl or .parquet, with their prompts."""


def run_generate(invocation: Invocation[GenerateRecipe], screen: TextIO) -> Result:
    """Texts after each prompt, or a conversation; what is shown while it is drawn goes to `screen`."""
    recipe, ways = invocation.recipe, invocation.more
    if ways.output:
        check_output(ways.output)
    prompts = recipe.asked() or (() if recipe.chat else ("",))
    if not prompts and not sys.stdin.isatty():
        raise RequestError("there is nobody to converse with: give what the user says by --prompt or --prompts, or use a terminal")
    folder = checkpoint_folder(recipe.checkpoint, invocation.options.root)
    model = open_model(folder, opened_by(recipe.checkpoint, folder))
    writer = Writer(recipe, model, open_tokenizer(folder), sys.stderr if invocation.options.json else screen)
    started = time.monotonic()
    samples = list(writer.samples(prompts, ways.stream) if prompts else writer.conversation())
    tokens, seconds = sum(sample["tokens"] for sample in samples), time.monotonic() - started
    apart = "\n" if ways.stream and invocation.options.json else ""
    print(f"{apart}{tokens:,} tokens drawn in {seconds:.1f} s: {tokens / seconds:,.1f} tokens/s", file=sys.stderr)
    if ways.output:
        write_samples(ways.output, samples)
    told = {"streamed": ways.stream or not prompts, "output": ways.output, "continued": writer.continues}
    speed = {"tokens": tokens, "tokens_per_second": round(tokens / seconds, 3)}
    return {"built": [], "skipped": [], "checkpoint": str(folder), "samples": samples, **told, **speed}


def opened_by(checkpoint: str | None, folder: Path) -> str:
    """The class of transformers that opens a checkpoint to write: an encoder-decoder writes where it was fine-tuned to."""
    tuned = checkpoint is not None and checkpoint.startswith("finetune/")
    return "AutoModelForSeq2SeqLM" if tuned and gaps_of(folder) == "spans" else CAUSAL


@dataclass(frozen=True)
class Writer:
    """A model that is open, and a screen for texts that are shown while they grow."""

    recipe: GenerateRecipe
    model: Any
    tokenizer: Any
    screen: TextIO

    @property
    def continues(self) -> bool:
        """Whether a text is one with its prompt, and not an answer to it."""
        return not self.recipe.chat and not self.model.config.is_encoder_decoder

    def samples(self, prompts: Sequence[str], stream: bool) -> Iterator[dict[str, Any]]:
        """The texts after each prompt, or the answers to each."""
        asked = [self._turn([said("user", prompt)]) for prompt in prompts] if self.recipe.chat else list(prompts)
        texts = self._write(asked, self.recipe.sequences, partial(self._show, prompts, set()) if stream else None)
        for prompt, written in zip(prompts, texts, strict=True):
            yield from (sample(prompt, text) for text in written)

    def conversation(self) -> Iterator[dict[str, Any]]:
        """Answers to what is typed on the terminal, each in the light of what was said before, until its end."""
        messages: list[Message] = []
        while (typed := heard()) is not None:
            messages.append(said("user", typed))
            ((written,),) = self._write([self._turn(messages)], 1, lambda _, piece: self._put(piece))
            messages.append(said("assistant", written.text))
            self._put(BETWEEN)
            yield sample(typed, written)

    def _turn(self, messages: Sequence[Message]) -> list[int]:
        context = getattr(self.model.config, "max_position_embeddings", None)
        return conversation(self.tokenizer, messages, context and context - self.recipe.sampling.max_new_tokens)

    def _write(self, prompts: Any, sequences: int, watch: Any) -> list[list[Written]]:
        recipe = self.recipe
        return write(self.model, self.tokenizer, prompts, recipe.sampling, sequences=sequences, stops=recipe.stops, watch=watch)

    def _show(self, prompts: Sequence[str], begun: set[int], number: int, piece: str) -> None:
        """What came to a text, behind its prompt where it begins."""
        if number not in begun:
            self._put((BETWEEN if begun else "") + (prompts[number // self.recipe.sequences] if self.continues else ""))
            begun.add(number)
        self._put(piece)

    def _put(self, text: str) -> None:
        self.screen.write(harmless(text) if self.screen.isatty() else text)
        self.screen.flush()


def sample(prompt: str, written: Written) -> dict[str, Any]:
    """A text as it is told and kept."""
    return {"prompt": prompt, "text": written.text, "ended": written.ended, "tokens": len(written.tokens)}


def heard() -> str | None:
    """What is typed next, on a line that is not blank; None at the end."""
    try:
        while not (typed := input("> ").strip()):
            pass
    except EOFError:
        return None
    return typed.encode("utf-8", "replace").decode()


def harmless(text: str) -> str:
    """Text that commands no terminal."""
    return "".join(character for character in text if character in "\n\t" or category(character) != "Cc")


def show(result: Result) -> str:
    """The texts, apart."""
    if result["streamed"]:
        return ""
    if result["output"]:
        return f"{len(result['samples']):,} texts in {result['output']}"
    return BETWEEN.join((sample["prompt"] if result["continued"] else "") + sample["text"] for sample in result["samples"])


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as terminal:  # before what libraries print is kept from it
        act = partial(run_generate, screen=terminal)
        raise SystemExit(execute("generate", GenerateRecipe, act, show, more=Ways()))
