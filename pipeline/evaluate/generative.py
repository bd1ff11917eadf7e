"""Questions that are answered in words: the model writes, and its text is compared with the right answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import RequestError
from pipeline.evaluate.base import Answering, HeldOut, Record
from pipeline.evaluate.file_task import FewShotTask
from pipeline.evaluate.task_file import Row, TaskFile, as_text
from pipeline.evaluate.template import filled
from pipeline.evaluate.written import Texts, Writing, WritingTask
from pipeline.inference.generation import Sampling
from pipeline.metrics.reading import best_match


@dataclass(frozen=True)
class Question:
    """A prompt, and the right answers; an empty one says that there is none."""

    prompt: str
    right: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class QuestionFile(TaskFile):
    """Questions as records with columns, or as SQuAD has them: articles of paragraphs, each with its questions."""

    def rows(self) -> Iterator[Row]:
        found = False
        for row in super().rows():
            for asked in _questions(row):
                found = True
                yield asked
        if not found:
            raise RequestError(f"{self.location} holds no questions: give a file with some")


@dataclass(frozen=True, kw_only=True)
class Generative(WritingTask[Question], FewShotTask[Question, Texts]):
    """Answers in words, measured by exact match and F1 (`pipeline.metrics.reading`), the best over the right answers.

    The likeliest tokens are taken up to a stop. Prompts that the context does not hold beside an answer lose their beginning, and are
    counted as `truncated`.
    """

    file: QuestionFile
    """A file of records, or one in SQuAD's format."""
    shots_from: QuestionFile | None = None
    prompt: str = "{context}\nQuestion: {question}\nAnswer:"
    """A template of the question."""
    answers: str = "answers"
    """The column with the right answer or a list of them."""
    between: str = " "
    """What stands between a question and its answer, where it is shown."""
    stop: tuple[str, ...] = ("\n",)
    """An answer ends before the first of these."""
    max_new_tokens: int = 32
    """Greatest length of an answer in tokens."""
    language: Literal["en", "zh"] = "en"
    """How answers are compared: by words, or by Chinese characters."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if "" in self.stop:
            raise RequestError(f"stop of {self.name} has an empty text: name texts that end an answer, such as \\n")
        Sampling(max_new_tokens=self.max_new_tokens)

    def subject(self, folder: Path) -> Answering[Question, Texts]:
        return Writing[Question](folder, Sampling(max_new_tokens=self.max_new_tokens, temperature=0), self.stop)

    def examples(self, held_out: HeldOut) -> Iterator[Question]:  # noqa: ARG002 - it has its own
        for row, before in self.prompted():
            yield Question(before + filled(self.prompt, row), self.right(row))

    def shown(self, row: Row) -> str:
        return filled(self.prompt, row) + self.between + self.right(row)[0]

    def right(self, row: Row) -> tuple[str, ...]:
        """The right answers of a record: a text, a list of texts, or SQuAD's; one that is empty where the list is."""
        return _texts(row, row.value(self.answers)) or ("",)

    def score(self, example: Question, answer: Texts) -> Mapping[str, float]:
        found = best_match(answer.texts[0], example.right, self.language)
        return {"exact_match": found.exact, "f1": found.f1, "truncated": float(answer.truncated)}

    def record(self, example: Question, answer: Texts) -> Record:
        return Record(example.prompt, answer.texts[0], " | ".join(example.right))


def _questions(row: Row) -> Iterator[Row]:
    """A record, or the questions in it, where it is an article or a whole file as SQuAD has them."""
    articles = row.columns.get("data", [row.columns])
    if not isinstance(articles, list) or not any(isinstance(each, dict) and "paragraphs" in each for each in articles):
        yield row
        return
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    columns = {"title": article.get("title", ""), "context": paragraph["context"], "answers": [], **asked}
                    yield Row(f"{row.origin}/{asked.get('id', asked['question'])}", columns)
    except (TypeError, KeyError, AttributeError) as problem:
        raise RequestError(
            f"{row.origin} is not in SQuAD's format ({type(problem).__name__}: {problem}): give data of paragraphs with a context and qas"
        ) from problem


def _texts(row: Row, answers: Any) -> tuple[str, ...]:
    """Right answers as texts; raises RequestError for what is none."""
    if isinstance(answers, Mapping):
        answers = answers.get("text")
    listed = answers if isinstance(answers, list) else [answers]
    texts = [each.get("text") if isinstance(each, Mapping) else each for each in listed]
    if any(each is None or isinstance(each, list | Mapping) for each in texts):
        raise RequestError(f"{row.origin} has {answers!r:.80} as answers: name a column with a text, or a list of texts")
    return tuple(map(as_text, texts))
