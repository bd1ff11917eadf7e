"""Documents made of a text, and a step of documents."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.documents import Document, Documents, Tally, total, write_documents, write_dropped
from pipeline.filters.base import Filter
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

ENGLISH = (
    "The committee met on Thursday to consider the proposals that the members had sent in during the summer. "
    "Most of them concerned the old library by the river, whose roof has leaked since the storm of last winter. "
    "After two hours of discussion it was agreed to repair it before the first snow, and to ask the town for help."
)
CHINESE = (
    "委员会在星期四开会，讨论成员们夏天寄来的提案。其中大部分涉及河边的旧图书馆，自从去年冬天的暴风雨以来，它的屋顶一直漏水。"
    "经过两个小时的讨论，大家同意在第一场雪之前把它修好，并且请求镇上提供帮助。"
)


def document(text: str, place: int = 0, source: str = "given") -> Document:
    return Document(f"id-{place}", text, source, f"given#{place}", "2026-11", '{"place": 1}')


def verdict(rule: Filter, text: str) -> str | None:
    return rule.verdict(document(text))


@dataclass(frozen=True, kw_only=True)
class Given(Step[Documents]):
    """Documents from the recipe itself: a shard a tuple of texts."""

    artifact: ClassVar[type[Documents]] = Documents
    shards: tuple[tuple[str, ...], ...]

    def run(self, context: Context) -> Facts:
        return total(receipt.facts for receipt in context.map(self.write, range(len(self.shards))))

    def write(self, unit: Unit, shard: int) -> Facts:
        first = sum(map(len, self.shards[:shard]))
        documents = [document(text, first + row) for row, text in enumerate(self.shards[shard])]
        tally = Tally()
        for each in documents:
            tally.keep(each)
        write_documents(unit, documents)
        write_dropped(unit, [])
        return tally.facts()
