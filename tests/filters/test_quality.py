"""The quality classifier: what it learns, what it says of itself, and what the step that asks it keeps."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import Documents
from pipeline.errors import RequestError, RunError
from pipeline.filters.classifier import Features, features_of, probabilities, train
from pipeline.filters.features import FeatureKinds
from pipeline.filters.labelled import ranks
from pipeline.filters.ngrams import spelled
from pipeline.filters.quality import Quality, QualityModel, TrainQuality
from pipeline.filters.trial import auc
from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.executors import Backwards
from tests.filters.texts import Given

Build = Callable[[Any], Any]
SMALL = FeatureKinds(bits=16)
PROSE = [f"The committee met in room {place} and agreed to repair the old library before the {place}th of March." for place in range(60)]
SPAM = [f"BUY NOW!!! Best pills {place} $$$ click here >>> http://pills{place}.example free offer" for place in range(60)]
NEWS = [f"委员会在第{place}次会议上讨论了图书馆的维修计划，并决定在冬天之前完成。" for place in range(60)]
ADVERTS = [f"免费领取！！！加微信{place}号，点击链接，限时优惠，马上购买第{place}款。" for place in range(60)]
MASK = 2**64 - 1


def column(texts: Sequence[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def trained(good: Sequence[str], bad: Sequence[str], **options: Any) -> TrainQuality:
    options = {"features": SMALL, **options}
    return TrainQuality(good=(Given(shards=(tuple(good),)),), bad=(Given(shards=(tuple(bad),)),), **options)


def kept(artifact: Documents) -> list[str]:
    return [document.text for shard in artifact.shards for document in artifact.read(shard)]


@pytest.mark.parametrize(("good", "bad"), [(PROSE, SPAM), (NEWS, ADVERTS)], ids=["english", "chinese"])
def test_what_is_like_the_good_documents_is_kept_and_all_else_is_dropped_and_counted(good: list[str], bad: list[str], build: Build) -> None:
    shards = ((good[40], bad[40], good[41]), (), (bad[41],))
    model = trained(good[:40], bad[:40], held_out=0.3)
    artifact = build(Quality(documents=Given(shards=shards), model=model))
    assert kept(artifact) == [good[40], good[41]]
    assert [(row["id"], row["reason"], row["match"]) for row in artifact.dropped().to_pylist()] == [
        ("id-1", "low-quality", None),
        ("id-3", "low-quality", None),
    ]
    scores = artifact.facts["probabilities"]
    assert {name: artifact.facts[name] for name in ("read", "kept", "dropped")} == {"read": 4, "kept": 2, "dropped": {"low-quality": 2}}
    assert (len(scores), sum(scores[:10]), sum(scores[10:])) == (20, 2, 2)


def test_a_model_says_how_well_it_tells_what_it_was_not_trained_on(build: Build) -> None:
    facts = build(trained(PROSE, SPAM, held_out=0.3)).facts
    counts, found = facts["examples"], facts["held_out"]
    assert {name: sum(kind.values()) for name, kind in counts.items()} == {"good": 60, "bad": 60}
    assert found["confusion"] == {
        "good_kept": counts["good"]["held_out"],
        "good_dropped": 0,
        "bad_kept": 0,
        "bad_dropped": counts["bad"]["held_out"],
    }
    assert {name: found[name] for name in ("accuracy", "auc", "precision", "recall")} == dict.fromkeys(
        ("accuracy", "auc", "precision", "recall"), 1.0
    )
    assert [row["least"] for row in found["thresholds"]] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert facts["features"] == {"words": 2, "characters": [3, 5], "bits": 16}


def test_where_nothing_tells_the_kinds_apart_the_trial_says_so(build: Build) -> None:
    found = build(trained(PROSE, PROSE, held_out=0.5)).facts["held_out"]
    assert found["auc"] == found["accuracy"] == 0.5


def test_what_is_held_out_leaves_no_trace_in_the_weights(build: Build) -> None:
    held = ranks([f"id-{place}" for place in range(60)], "held out 0") < int(0.3 * 2**64)
    other = [f"something else {place}" if hidden else text for place, (text, hidden) in enumerate(zip(PROSE, held.tolist(), strict=True))]
    models: list[QualityModel] = [build(trained(good, SPAM, held_out=0.3)) for good in (PROSE, other)]
    assert models[0].manifest.content == models[1].manifest.content
    assert models[0].facts["held_out"] != models[1].facts["held_out"]


def test_weights_are_plain_numbers_in_a_file_that_numpy_opens_without_pickle(build: Build) -> None:
    model = build(trained(PROSE, SPAM))
    weights = np.load(model.local(model.file), allow_pickle=False)
    assert (weights.dtype, weights.shape) == (np.float32, (2**16 + 1,))
    assert np.isfinite(weights).all()


def test_one_half_means_as_likely_good_as_bad_however_many_there_are_of_each(build: Build) -> None:
    found = build(trained([f"{text} good" for text in PROSE], [f"{text} bad" for text in PROSE[:6]], held_out=0.5)).facts["held_out"]
    assert (found["recall"], found["confusion"]["bad_kept"]) == (1.0, 0)


def test_the_bytes_are_the_same_every_time_in_any_order_of_units_and_any_cut_into_shards(tmp_path: Path) -> None:
    texts = [*PROSE[:10], *SPAM[:10]]
    contents = []
    for name, executor, cuts in (("one", InlineExecutor(), [60]), ("two", Backwards(), [13, 13, 60]), ("three", InlineExecutor(), [60])):
        bounds = [0, *cuts]
        shards = tuple(tuple(PROSE[start:end]) for start, end in pairwise(bounds))
        model = TrainQuality(good=(Given(shards=shards),), bad=(Given(shards=(tuple(SPAM),)),), features=SMALL)
        step = Quality(documents=Given(shards=(tuple(texts[:7]), tuple(texts[7:]))), model=model)
        store = open_store(str(tmp_path / name))
        run([step], store, executor)
        contents.append((open_artifact(store, model).manifest.content, open_artifact(store, step).manifest.content))
    assert contents[0] == contents[1] == contents[2]


def test_what_one_model_dropped_is_not_taken_for_what_another_drops(build: Build) -> None:
    given_texts = Given(shards=((PROSE[50], SPAM[50]),))
    first = build(Quality(documents=given_texts, model=trained(PROSE[:40], SPAM[:40], held_out=0.3)))
    second = build(Quality(documents=given_texts, model=trained(SPAM[:40], PROSE[:40], held_out=0.3)))
    assert (kept(first), kept(second)) == ([PROSE[50]], [SPAM[50]])


def test_a_sample_holds_so_many_characters_of_each_kind_and_not_too_much_of_one_document(build: Build) -> None:
    long = [f"{text} " * 400 for text in PROSE]
    counts = build(trained(long, SPAM, sample_characters=1 << 10, held_out=0.4)).facts["examples"]
    assert sum(counts["good"].values()) == 60
    counts = build(trained(long, [text * 2 for text in SPAM], sample_characters=4 << 10, held_out=0.4)).facts["examples"]
    assert sum(counts["bad"].values()) == 60
    counts = build(trained(long * 2, SPAM, sample_characters=1 << 10, held_out=0.4)).facts["examples"]
    assert sum(counts["good"].values()) == 64


def test_least_decides_from_keeping_all_to_keeping_what_is_certain(build: Build) -> None:
    model, given_texts = trained(PROSE, SPAM), Given(shards=((PROSE[0], SPAM[0], ""),))
    shares = [build(Quality(documents=given_texts, model=model, least=least)).facts["kept"] for least in (0.0, 0.5, 1.0)]
    assert shares[0] == 3
    assert shares[2] == 0
    assert shares == sorted(shares, reverse=True)


def test_a_document_with_exactly_the_probability_asked_for_is_kept(build: Build) -> None:
    model = trained(PROSE, SPAM)
    weights = build(model).weights()
    probability = float(probabilities(features_of(column([PROSE[0]]), SMALL), weights)[0])
    assert kept(build(Quality(documents=Given(shards=((PROSE[0],),)), model=model, least=probability))) == [PROSE[0]]


def mixed(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def expected_features(text: str, kinds: FeatureKinds) -> set[int]:
    """The features of a text by the rule."""
    found = set()
    words = spelled(column([text])).hashes.tolist()
    for size in range(1, kinds.words + 1):
        for first in range(len(words) - size + 1):
            gram = 0
            for word in words[first : first + size]:
                gram = (gram * 0x9E3779B97F4A7C15 + word) & MASK
            found.add(mixed(gram) % 2**kinds.bits)
    folded = "".join(" " if each in " \t\n\v\f\r" else each for each in text)
    while "  " in folded:
        folded = folded.replace("  ", " ")
    least, most = kinds.characters or (1, 0)
    for size in range(least, most + 1):
        for first in range(len(folded) - size + 1):
            gram = 0xCBF29CE484222325
            for each in folded[first : first + size]:
                gram = ((gram ^ ord(each)) * 0x100000001B3) & MASK
            found.add(mixed(gram) % 2**kinds.bits)
    return found


any_text = st.text(st.characters(codec="utf-8") | st.sampled_from("aB \n\t 中文é🙂"), max_size=30)
any_kinds = st.builds(
    FeatureKinds, words=st.integers(1, 3), characters=st.sampled_from([None, (1, 1), (2, 4), (3, 5)]), bits=st.sampled_from([10, 18])
)


@settings(max_examples=150)
@given(st.lists(any_text, max_size=4), any_kinds)
def test_a_text_has_each_feature_of_its_n_grams_once(texts: list[str], kinds: FeatureKinds) -> None:
    features = features_of(column(texts), kinds)
    parts = np.split(features.places, features.ends[:-1]) if texts else []
    assert [sorted(part.tolist()) for part in parts] == [sorted(expected_features(text, kinds)) for text in texts]


def test_bytes_that_are_no_text_are_never_read_past_their_end() -> None:
    data = b"\xf0\x9f\x98" + b"next" + b"\x80\x80" + b"\xe4"
    texts = pa.LargeStringArray.from_buffers(4, pa.py_buffer(np.array([0, 3, 7, 9, 10])), pa.py_buffer(data))
    features = features_of(texts, SMALL)
    assert sorted(features.places[features.ends[0] : features.ends[1]].tolist()) == sorted(expected_features("next", SMALL))


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def plainly_trained(sets: list[list[int]], good: list[bool], orders: list[list[int]], rate: float, size: int) -> list[float]:
    """The same descent in plain Python, averaged by adding up the weights after each step."""
    weights, sums, step = [0.0] * (size + 1), [0.0] * (size + 1), 0
    steps = sum(map(len, orders))
    for order in orders:
        for row in order:
            scale = 1 / math.sqrt(max(len(sets[row]), 1))
            probability = sigmoid(sum(weights[place] for place in sets[row]) * scale + weights[-1])
            weight = len(good) / (2 * good.count(good[row]))
            change = (good[row] - probability) * weight * rate * (1 - step / steps)
            for place in sets[row]:
                weights[place] += change * scale
            weights[-1] += change
            sums = [total + value for total, value in zip(sums, weights, strict=True)]
            step += 1
    return [total / steps for total in sums]


@settings(max_examples=60)
@given(st.lists(st.sets(st.integers(0, 15), max_size=6).map(sorted), min_size=2, max_size=8), st.integers(1, 3), st.randoms())
def test_training_is_averaged_stochastic_gradient_descent(sets: list[list[int]], epochs: int, random: Any) -> None:
    good = [True, False, *(random.random() < 0.5 for _ in sets[2:])]
    orders = [random.sample(range(len(sets)), len(sets)) for _ in range(epochs)]
    features = Features(np.array([place for row in sets for place in row], np.uint32), np.cumsum([len(row) for row in sets]))
    weights = train(features, np.array(good), np.array(orders), 2.0, 16)
    np.testing.assert_allclose(weights, plainly_trained(sets, good, orders, 2.0, 16), rtol=1e-5, atol=1e-6)
    expected = [sigmoid(sum(weights[place] for place in row) / math.sqrt(max(len(row), 1)) + weights[-1]) for row in sets]
    np.testing.assert_allclose(probabilities(features, weights), expected, rtol=1e-5)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9]), st.booleans()), min_size=2, max_size=20))
def test_auc_is_the_share_of_pairs_that_are_in_the_right_order(pairs: list[tuple[float, bool]]) -> None:
    found, good = [pair[0] for pair in pairs] + [0.3, 0.6], [pair[1] for pair in pairs] + [True, False]
    wins = [
        (1.0 if one > other else 0.5 if one == other else 0.0)
        for one, is_good in zip(found, good, strict=True)
        if is_good
        for other, is_other_good in zip(found, good, strict=True)
        if not is_other_good
    ]
    assert auc(np.array(found), np.array(good)) == pytest.approx(sum(wins) / len(wins))


def test_a_kind_without_examples_stops_the_run(build: Build) -> None:
    with pytest.raises(RunError, match=r"of the bad documents 0 are to be trained on and 0 held out: give more documents"):
        build(trained(PROSE, []))
    with pytest.raises(RunError, match=r"of the good documents 1 are to be trained on and 0 held out: give more documents"):
        build(trained(PROSE[:1], SPAM))


def test_wrong_requests_are_refused() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"held_out": 0}, "held_out is 0: use a share between 0 and 1"),
        ({"sample_characters": 1000}, "sample_characters is 1000: a classifier is trained on at least 1,024"),
        ({"epochs": 0}, "epochs is 0: use 1 or more"),
        ({"rate": float("nan")}, "rate is nan: use more than 0"),
        ({"good": ()}, r"good is \(\), not a tuple of steps: write \(step,\) for one"),
        ({"bad": Given(shards=())}, r"bad is Given\(.*, not a tuple of steps"),
    ]
    given_texts = (Given(shards=()),)
    for fields, complaint in wrong:
        with pytest.raises(RequestError, match=complaint):
            TrainQuality(**{"good": given_texts, "bad": given_texts, **fields})
    wrong = [
        ({"words": 0}, "FeatureKinds.words is 0: use runs of up to 1 to 8 words"),
        ({"characters": (5, 3)}, r"FeatureKinds.characters is \(5, 3\): use \(least, most\)"),
        ({"bits": 40}, "FeatureKinds.bits is 40: use 10 to 28"),
    ]
    for fields, complaint in wrong:
        with pytest.raises(RequestError, match=complaint):
            FeatureKinds(**fields)
    with pytest.raises(RequestError, match=r"least is 1.5: use a probability"):
        Quality(documents=given_texts[0], model=trained([], []), least=1.5)


def test_real_reviews_are_told_apart_nearly_as_people_do(build: Build, shared_data: Path) -> None:
    lines = (shared_data / "finetune" / "sst2" / "train.tsv").read_text().splitlines()[1:]
    texts = {label: tuple(line.rpartition("\t")[0] for line in lines if line.endswith(f"\t{label}")) for label in "01"}
    found = build(trained(texts["1"], texts["0"], features=FeatureKinds())).facts["held_out"]
    assert found["accuracy"] > 0.9
    assert found["auc"] > 0.96
