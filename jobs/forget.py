"""Takes documents out of every corpus of a root, for good, and says which checkpoints had seen them."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import getpass
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.lease import Lease
from jobs.command import Invocation, Options, Result, execute
from jobs.history.erasure import Found, erase, find, made_from, matching, named
from jobs.history.exposure import exposures
from jobs.history.prospect import as_it_grows
from jobs.history.states import State, corpora, folder_of, recipe_of
from jobs.history.tombstones import Tombstone, Tombstones, add_tombstone, read_tombstones
from jobs.launch import carry_out
from pipeline.errors import MillraceError, RequestError, RunError
from pipeline.storage import Store, open_store

SHOWN = 5
LISTED = 20


@dataclass(frozen=True, kw_only=True)
class ForgetRecipe:
    """Takes documents out of every corpus of a root, for good. Say which by --ids, --match or --file."""

    ids: tuple[str, ...] = ()
    """Ids of documents."""
    match: str | None = None
    """A regular expression (RE2): documents whose text has a match of it."""
    file: str | None = None
    """A file with an id a line, or a JSON object with an "id" a line."""
    by: str | None = None
    """On whose request; None: the user who runs this."""
    reason: str = ""
    """Why, for the record."""


def forget(invocation: Invocation[ForgetRecipe]) -> Result:
    """Put the documents on record, rebuild every corpus without them, and erase every file that holds them.

    Killed anywhere, the same command goes on: what is on record is never brought back.
    """
    recipe, options = invocation.recipe, invocation.options
    store = open_store(options.root)
    before = read_tombstones(store)
    found = _found(recipe, store, before)
    if options.plan:
        return {"built": [], "skipped": [], **_told(found), "seen_by": _seen_by(store, found), "remains_in": _remains(store, found)}
    with Lease(store, "forgotten.lease"):
        record = _record(recipe, store, found) if found.documents else None
        outcomes = [_rebuilt(state, options, store) for state in corpora(store)]
        gone = {document.id for tombstone in read_tombstones(store).records for document in tombstone.documents}
        erased = erase(store, gone)
    failed = [outcome["error"] for outcome in outcomes if "error" in outcome]
    if failed:
        raise RunError(f"the documents are forgotten and erased, but a corpus could not be built without them: {'; '.join(failed)}")
    return {
        "built": [address for outcome in outcomes for address in outcome["built"]],
        "skipped": [address for outcome in outcomes for address in outcome["skipped"]],
        **_told(found),
        "record": record.path if record else None,
        "seen_by": record.seen_by if record else {},
        "remains_in": record.remains_in if record else [],
        "erased": erased,
        "corpora": [outcome["state"] for outcome in outcomes],
    }


def _found(recipe: ForgetRecipe, store: Store, before: Tombstones) -> Found:
    """The documents that are asked for. Raises RequestError for ids that are neither there nor forgotten already."""
    asked = {*recipe.ids, *_ids_in(recipe.file)}
    if not asked and recipe.match is None:
        raise RequestError("nothing is named to be forgotten: use --ids, --match or --file")
    found = find(store, named(asked)) if asked else Found()
    known = {document.id for tombstone in before.records for document in tombstone.documents}
    missing = sorted(asked - found.documents.keys() - known)
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise RequestError(f"no document of {store.url} has the id {', '.join(missing[:SHOWN])}{more}: see the column id of the documents")
    if recipe.match is not None:
        more_found = find(store, matching(_checked(recipe.match)))
        found = Found(found.documents | more_found.documents, found.spared | more_found.spared)
        if not found.documents:
            raise RequestError(f"no document of {store.url} has a match of {recipe.match!r}: nothing was forgotten")
    return Found({key: gone for key, gone in found.documents.items() if key not in known}, found.spared - found.documents.keys())


def _checked(pattern: str) -> str:
    import re2

    try:
        re2.compile(pattern)
    except re2.error as problem:
        raise RequestError(f"--match is {pattern!r}, which is no RE2 expression ({problem}): correct it") from problem
    return pattern


def _ids_in(file: str | None) -> set[str]:
    if file is None:
        return set()
    try:
        lines = [line.strip() for line in Path(file).read_text(encoding="utf-8").splitlines()]
        return {str(json.loads(line)["id"]) if line.startswith("{") else line for line in lines if line}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise RequestError(f'cannot read ids from {file!r} ({problem}): give an id a line, or a JSON object with an "id"') from problem


@dataclass(frozen=True)
class Recorded:
    path: str
    seen_by: dict[str, Any]
    remains_in: list[str]


def _record(recipe: ForgetRecipe, store: Store, found: Found) -> Recorded:
    """Put what is found on record, with the checkpoints that saw it: their data can be followed now, and no longer when it is erased."""
    seen_by, remains_in = _seen_by(store, found), _remains(store, found)
    hows = {"--ids": recipe.ids, "--match": recipe.match, "--file": recipe.file}
    tombstone = Tombstone(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        by=recipe.by or _user(),
        reason=recipe.reason,
        how=", ".join(name for name, value in hows.items() if value),
        documents=tuple(found.documents[key] for key in sorted(found.documents)),
        spared=tuple(sorted(found.spared)),
        seen_by=seen_by,
        remains_in=tuple(remains_in),
    )
    return Recorded(add_tombstone(store, tombstone), seen_by, remains_in)


def _told(found: Found) -> dict[str, Any]:
    """What is forgotten, and where it stood."""
    documents = [found.documents[key] for key in sorted(found.documents)]
    return {"forgotten": [document.id for document in documents], "origins": [document.origin for document in documents]}


def _remains(store: Store, found: Found) -> list[str]:
    return made_from(store, found.documents) if found.documents else []


def _seen_by(store: Store, found: Found) -> dict[str, Any]:
    seen = exposures(store, sorted(found.documents))
    return {each.checkpoint: each.unknown or each.steps for each in seen if each.unknown or each.steps}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _rebuilt(state: State, options: Options, store: Store) -> dict[str, Any]:
    """A corpus without what is forgotten; or why it could not be built."""
    try:
        recipe = recipe_of(state)
        with Lease(store, f"{folder_of(recipe)}/lease.json"):
            prospect = as_it_grows(recipe, store)
            outcome = carry_out("forget", (prospect.recipe.tokens,), options)
            assert outcome is not None
            new = prospect.record(store, "forget")
    except (MillraceError, OSError) as problem:
        return {"error": f"{state.artifacts['tokenize']}: {problem}"}
    return {"built": list(outcome.built), "skipped": list(outcome.skipped), "state": {"number": new.number, **new.artifacts}}


def show(result: Result) -> str:
    """What was forgotten, and who had seen it."""
    count = len(result["forgotten"])
    lines = [f"{'forgotten' if 'erased' in result else 'to be forgotten'}: {count:,} document{'' if count == 1 else 's'}"]
    pairs = list(zip(result["forgotten"], result["origins"], strict=True))
    lines += [f"  {document_id}  {origin}" for document_id, origin in pairs[:LISTED]]
    lines += [f"  and {len(pairs) - LISTED:,} more"] if len(pairs) > LISTED else []
    for checkpoint, seen in result["seen_by"].items():
        lines += [f"{checkpoint}: {seen}"] if isinstance(seen, str) else [_seen(checkpoint, key, steps) for key, steps in seen.items()]
    lines += [f"made from it, and yours to delete or to train anew: {address}" for address in result["remains_in"]]
    if "erased" in result:
        lines += [f"erased: {path}" for path in result["erased"]]
        lines += [f"corpus: {state['tokenize']} (state {state['number']})" for state in result["corpora"]]
        lines.append(f"record: {result['record'] or 'they were on record before'}")
    return "\n".join(lines)


def _seen(checkpoint: str, document_id: str, steps: Sequence[int]) -> str:
    shown = ", ".join(map(str, steps[:SHOWN])) + ("…" if len(steps) > SHOWN else "")
    return f"{checkpoint} saw {document_id} in {len(steps):,} steps: {shown}"


if __name__ == "__main__":
    raise SystemExit(execute("forget", ForgetRecipe, forget, show))
