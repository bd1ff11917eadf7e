"""Sources → documents → filters → duplicates out → tokenizer → token shards."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from dataclasses import dataclass

from jobs.command import Invocation, Result, execute
from jobs.explain import Sample, explained
from jobs.explain import show as show_explained
from jobs.history.prospect import as_it_was
from jobs.launch import carry_out, corpus_result, outcome_result, planned, show_corpus, show_plan
from jobs.looking import Looking, reported, show_looking
from jobs.recipe import CorpusRecipe
from pipeline.storage import open_store


@dataclass(frozen=True, kw_only=True)
class Ways(Looking):
    """How closely to look at the outcome, or at what it would be."""

    explain: bool = False
    """Show on a sample what the filters would drop and change, and build nothing (jobs/explain.py has more options)."""


def corpus(invocation: Invocation[CorpusRecipe]) -> Result:
    """Build the corpus and its token shards."""
    if invocation.more.explain:
        return explained(invocation.recipe, Sample())
    store = open_store(invocation.options.root)
    prospect = as_it_was(invocation.recipe, store)
    tokens = prospect.recipe.tokens
    looks = invocation.more.at(tokens)
    targets = (*invocation.more.budgets(tokens.documents), tokens, *looks)
    outcome = carry_out("corpus", targets, invocation.options)
    if outcome is None:
        return planned(targets, invocation.options)
    prospect.record(store, "corpus")
    return {
        **outcome_result(outcome),
        **corpus_result(targets, outcome.manifests),
        **reported(tokens, looks, invocation.options),
    }


def show(result: Result) -> str:
    """The result in words."""
    if "filters" in result:
        return show_explained(result)
    if "plan" in result:
        return show_plan(result)
    made = f"corpus: {result['artifacts']['deduplicate']}\nreport: {result['report']}"
    return f"{show_corpus(result)}\n{show_looking(result)}{made}"


if __name__ == "__main__":
    raise SystemExit(execute("corpus", CorpusRecipe, corpus, show, default="python_library", more=Ways()))
