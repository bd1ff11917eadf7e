"""Why a model said this: what each of its answers owes to each token that it read, and where it looked, as one page."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dataclasses import dataclass
from typing import Any

from jobs.checkpoints import checkpoint_folder, checkpoint_step
from jobs.command import Invocation, Result, execute
from jobs.terminal import cut, room
from pipeline.inference.explaining import explain_answers
from pipeline.inference.explanation import Answer, Asking, Explanation
from pipeline.inference.pieces import Piece
from pipeline.report.why.page import render_explanation
from pipeline.report.why.tokens import name_of
from pipeline.storage import open_store
from pipeline.workflow.fingerprint import canonical, fingerprint

NAMED = 4


@dataclass(frozen=True, kw_only=True)
class AttributeRecipe(Asking):
    """Why a model said this: a page with the probability of each answer, what it owes to each token, and where attention goes."""

    checkpoint: str | None = None
    """pretrain/FINGERPRINT, or a folder with config.json and safetensors; None: the newest in the root."""

    @property
    def asking(self) -> Asking:
        """What is asked, of whichever checkpoint."""
        return Asking(prompt=self.prompt, target=self.target, new_tokens=self.new_tokens, points=self.points)


def attribute(invocation: Invocation[AttributeRecipe]) -> Result:
    """Explain the answers, and write the page into the root."""
    recipe, root = invocation.recipe, invocation.options.root
    store = open_store(root)
    step = checkpoint_step(recipe.checkpoint, store)
    if invocation.options.plan:
        return {"built": [], "skipped": [], "plan": [], "checkpoint": step.address}
    folder = checkpoint_folder(recipe.checkpoint, root)
    store.check_writable()
    explanation = explain_answers(folder, recipe.asking)
    path = f"reports/why-{fingerprint([step.address, canonical(recipe.asking)])}.html"
    store.put(path, render_explanation(explanation, step.address, recipe.points).encode())
    answers = [_told(answer, explanation) for answer in explanation.answers]
    read = [_named(piece) for piece in explanation.read[: explanation.given]]
    return {"built": [], "skipped": [], "checkpoint": step.address, "page": f"{store.url}/{path}", "read": read, "answers": answers}


def _told(answer: Answer, explanation: Explanation) -> dict[str, Any]:
    importance = answer.importance
    tokens = [{"token": _named(piece), "nats": round(score, 6)} for piece, score in zip(explanation.read, importance.scores, strict=False)]
    return {
        "answer": _named(answer.chosen.piece),
        "probability": answer.chosen.probability,
        "alternatives": [{"answer": _named(choice.piece), "probability": choice.probability} for choice in answer.alternatives],
        "baseline": importance.baseline,
        "log_probability": importance.reached,
        "gap": importance.gap,
        "importance": tokens,
    }


def _named(piece: Piece) -> str:
    """A token as the page shows it, spaces as dots."""
    return name_of(piece) if piece.parts == 1 else f"{name_of(piece)} {piece.part}/{piece.parts}"


def show(result: Result) -> str:
    """A line an answer: its probability, and what it owes most to."""
    if "plan" in result:
        return f"nothing would be built: {result['checkpoint']} would be asked"
    lines = []
    for answer in result["answers"]:
        most = sorted(answer["importance"], key=lambda token: -abs(token["nats"]))[:NAMED]
        owed = ", ".join(f"{token['nats']:+.2f} {token['token']}" for token in most)
        lines.append(cut(f"{100 * answer['probability']:6.1f} %  {answer['answer']:<16}  {owed}", room()))
    return "\n".join([*lines, f"page: {result['page']}"])


if __name__ == "__main__":
    raise SystemExit(execute("attribute", AttributeRecipe, attribute, show))
