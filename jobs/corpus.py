"""Sources → documents → filters → duplicates out → tokenizer → token shards."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

from jobs.command import Invocation, Result, execute
from jobs.history.prospect import as_it_was
from jobs.launch import carry_out, corpus_result, outcome_result, planned, report_page, show_corpus, show_plan
from jobs.recipe import CorpusRecipe
from pipeline.storage import open_store


def corpus(invocation: Invocation[CorpusRecipe]) -> Result:
    """Build the corpus and its token shards."""
    store = open_store(invocation.options.root)
    prospect = as_it_was(invocation.recipe, store)
    targets = (prospect.recipe.tokens,)
    outcome = carry_out("corpus", targets, invocation.options)
    if outcome is None:
        return planned(targets, invocation.options)
    prospect.record(store, "corpus")
    report = report_page(targets, invocation.options)
    return {**outcome_result(outcome), **corpus_result(targets, outcome.manifests), "report": report}


def show(result: Result) -> str:
    """The result in words."""
    return (
        show_plan(result)
        if "plan" in result
        else f"{show_corpus(result)}\ncorpus: {result['artifacts']['deduplicate']}\nreport: {result['report']}"
    )


if __name__ == "__main__":
    raise SystemExit(execute("corpus", CorpusRecipe, corpus, show, default="python_library"))
