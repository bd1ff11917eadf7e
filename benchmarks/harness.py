"""How fast tasks by log-likelihood are scored, beside lm-eval on the same requests, and by how much the two differ.

    python -m benchmarks.harness [FOLDER] [--examples 200] [--runs 3] [--batch 16]

FOLDER is a checkpoint that transformers opens; by default a Llama-style decoder of 6 layers, width 256 and GPT-2's tokenizer, with
random weights: what it answers means nothing, how long that takes does. Both score the same pairs of strings from the trial data
beside the project, in one process, one after the other in each run, on the same threads; the seconds are of CPU, tokenization and
batching included, the opening of the model not; medians of the runs, behind one that is not timed. lm-eval has to be installed.
"""

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import save
from pipeline.evaluate.base import NoDocuments
from pipeline.evaluate.blimp import Blimp
from pipeline.evaluate.cloze import Cloze
from pipeline.evaluate.continuations import ContinuationTask, Question
from pipeline.evaluate.continuer import Continuer
from pipeline.evaluate.hellaswag import Hellaswag
from pipeline.evaluate.multiple_choice import MultipleChoice
from pipeline.evaluate.task_file import TaskFile

DATA = Path(__file__).parents[2] / "shared" / "data"


def tasks() -> list[ContinuationTask]:
    """Tasks of every shape: short and long prompts, choices of one token and of many, and none."""

    def at(name: str) -> TaskFile:
        return TaskFile.at(str(DATA / "evaluate" / name))

    return [
        MultipleChoice(file=at("arc_easy.jsonl"), unconditional=None),
        MultipleChoice(file=at("piqa.jsonl"), prompt="{query}Answer:", unconditional=None),
        MultipleChoice(file=at("boolq.jsonl"), unconditional=None),
        MultipleChoice(
            file=at("mmlu-dev.jsonl"), prompt="{question}\nAnswer:", label="answer", layout="letters", shots=2, unconditional=None
        ),
        Hellaswag(file=at("hellaswag-first5000.jsonl.gz"), unconditional=None),
        Cloze(file=at("lambada_openai.jsonl")),
        Blimp(file=at("blimp")),
    ]


def write_model(folder: Path) -> None:
    """A decoder with random weights and GPT-2's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(DATA / "tokenizers" / "gpt2.tokenizer.json"), eos_token="<|endoftext|>", model_max_length=1024
    )
    shape = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 6, "num_attention_heads": 4}
    end = tokenizer.eos_token_id
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=1024, bos_token_id=end, eos_token_id=end, **shape)
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def seconds(act: Callable[[], Any]) -> tuple[float, Any]:
    """The CPU seconds of all threads, and what came of it."""
    started = time.process_time()
    found = act()
    return time.process_time() - started, found


def compared(ours: Continuer, theirs: Any, questions: Sequence[Question], runs: int) -> dict[str, Any]:
    """Both on the same questions, in turns."""
    from lm_eval.api.instance import Instance

    requests = [Instance("loglikelihood", {}, tuple(pair), place) for question in questions for place, pair in enumerate(question.pairs)]
    spent: tuple[list[float], list[float]] = ([], [])
    for run in range(runs + 1):
        taken, answers = seconds(lambda: list(ours.answers(questions)))
        taken_too, results = seconds(lambda: theirs.loglikelihood(requests, disable_tqdm=True))
        if run:
            spent[0].append(taken)
            spent[1].append(taken_too)
    logs = [log for _, answer in answers for log in answer.logs]
    greedy = [each for _, answer in answers for each in answer.greedy]
    own, other = map(statistics.median, spent)
    return {
        "examples": len(questions),
        "requests": len(requests),
        "ours_cpu_seconds": round(own, 2),
        "lm_eval_cpu_seconds": round(other, 2),
        "times_as_fast": round(other / own, 2),
        "greatest_relative_difference": max(abs(log - result[0]) / abs(result[0]) for log, result in zip(logs, results, strict=True)),
        "greedy_differs": sum(each != result[1] for each, result in zip(greedy, results, strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", metavar="FOLDER")
    parser.add_argument("--examples", type=int, default=200, help="the most of a task")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16, help="rows in a batch of lm-eval")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    from lm_eval.models.huggingface import HFLM

    with tempfile.TemporaryDirectory(prefix="millrace-") as made:
        folder = options.folder or made
        if options.folder is None:
            write_model(Path(made))
        ours = Continuer(Path(folder))
        theirs = HFLM(pretrained=str(folder), device=str(ours.model.device), dtype="auto", batch_size=options.batch)
        rows = []
        for task in tasks():
            questions = list(islice(task.examples(NoDocuments()), options.examples))
            rows.append({"task": task.name, **compared(ours, theirs, questions, options.runs)})
            print(rows[-1], flush=True)
    save("harness", rows, runs=options.runs, lm_eval=version("lm_eval"), batch=options.batch, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
