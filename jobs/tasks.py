"""Evaluation tasks on a command line: NAME:SETTING=VALUE, of the classes in `pipeline/evaluate/`, or a file that says what it is.

Such a file of JSON Lines begins with a line like {"task": "multiple-choice", "name": "my-task", "prompt": "{question}\\nAnswer:"}:
what kind of task its records are, what it is called, and the settings of the kind.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pipeline.evaluate
from jobs.words import NONE, Family, written
from pipeline.errors import RequestError
from pipeline.evaluate.base import EvalTask
from pipeline.evaluate.task_file import TaskFile, is_table

Task = EvalTask[Any, Any]
TASKS = Family[Task](EvalTask, pipeline.evaluate, "task", lambda kind: kind.kind())
OTHER_NAMES = {"name": "called", "folder": "file"}
"""What settings may be called instead: a task's name is a word for what it is on a command line, and a benchmark may be a folder."""


def tasks_from(words: Sequence[str]) -> tuple[Task, ...]:
    """The tasks of a command line; raises RequestError for what is none."""
    return () if [word.lower() for word in words] == [NONE] else tuple(map(task_from, words))


def task_from(word: str) -> Task:
    """The task that a word stands for."""
    if is_table(word) and Path(word.removeprefix("file://")).expanduser().is_file():
        return described(word)
    name, said = TASKS.parts(word)
    return TASKS.made(name, {OTHER_NAMES.get(setting, setting): text.replace("\\n", "\n") for setting, text in said.items()})


def described(location: str) -> Task:
    """The task that a file of records with a header is; raises RequestError where the header does not say what it is."""
    file = TaskFile.at(location, headed=True)
    header = dict(file.header())
    kind = header.pop("task", None)
    if not isinstance(kind, str) or kind not in TASKS.known:
        raise RequestError(
            f'--tasks: {location} does not say what task it is: begin it with a line such as {{"task": "multiple-choice"}},'
            f" or write NAME:file={location}; NAME is one of {', '.join(TASKS.known)}"
        )
    said = {OTHER_NAMES.get(setting, setting.replace("-", "_")): written(value) for setting, value in header.items()}
    return TASKS.made(kind, said, file=file)


def word_for(task: Task) -> str:
    """What `task_from` makes this task of."""
    file = getattr(task, "file", None)
    if isinstance(file, TaskFile) and file.headed:
        return file.location
    return TASKS.word_for(task).replace("\n", "\\n")


TASKS.rule(tasks_from, word_for, tuple[Task, ...])


def tasks_help() -> str:
    """What stands beside --tasks: how one is named, and the tasks that there are with their settings."""
    of_each = [f"{name}: {TASKS.settings_help(kind)}".rstrip(": ") for name, kind in TASKS.known.items()]
    about = "NAME, or NAME:SETTING=VALUE:SETTING=VALUE with other settings than these, or a file that begins with what it is:"
    return "\n".join([about, *of_each])
