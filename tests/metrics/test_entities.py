"""Entities among tags, and how many were found. What is expected was computed with seqeval 1.2.2."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.entities import as_bio, entities, entity_metrics, entity_scores, is_tag
from pipeline.metrics.totals import summed

BIO = ["O", "O", "B-A", "I-A", "B-B", "I-B"]
SEQEVAL = {
    0: {"precision": 0.56, "recall": 0.583333333333, "f1": 0.571428571429, "f1/A": 0.432432432432, "f1/B": 0.655737704918},
    1: {"precision": 0.5, "recall": 0.454545454545, "f1": 0.47619047619, "f1/A": 0.47619047619, "f1/B": 0.47619047619},
    2: {"precision": 0.428571428571, "recall": 0.75, "f1": 0.545454545455, "f1/A": 0.666666666667, "f1/B": 0.5},
    3: {"precision": 0.62962962963, "recall": 0.5, "f1": 0.55737704918, "f1/A": 0.413793103448, "f1/B": 0.6875},
    4: {"precision": 0.48, "recall": 0.5, "f1": 0.489795918367, "f1/A": 0.466666666667, "f1/B": 0.526315789474},
    5: {"precision": 0.573770491803, "recall": 0.546875, "f1": 0.56, "f1/A": 0.606060606061, "f1/B": 0.508474576271},
    6: {"precision": 0.618421052632, "recall": 0.626666666667, "f1": 0.622516556291, "f1/A": 0.648648648649, "f1/B": 0.597402597403},
    7: {"precision": 0.717948717949, "recall": 0.717948717949, "f1": 0.717948717949, "f1/A": 0.666666666667, "f1/B": 0.755555555556},
}


def drawn(seed: int) -> list[tuple[list[str], list[str]]]:
    """Sentences of a seed: tags as they should be and as they were said, legal or not."""
    chance, sentences = random.Random(seed), []
    for _ in range(chance.randint(1, 20)):
        count = chance.randint(1, 10)
        tags = [chance.choice(BIO) for _ in range(count)]
        sentences.append((tags, [tag if chance.random() < 0.6 else chance.choice(BIO) for tag in tags]))
    return sentences


@pytest.mark.parametrize("seed", SEQEVAL)
def test_metrics_of_tags_drawn_at_random_are_those_of_seqeval(seed: int) -> None:
    metrics = entity_metrics(summed([entity_scores(expected, said) for expected, said in drawn(seed)]))
    assert metrics == pytest.approx(SEQEVAL[seed], abs=1e-11)
    assert list(metrics) == list(SEQEVAL[seed])


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("B-A I-A O B-B", [("A", 0, 2), ("B", 3, 4)]),
        ("B-A B-A I-A", [("A", 0, 1), ("A", 1, 3)]),
        ("I-A I-A B-A O I-B", [("A", 0, 2), ("A", 2, 3), ("B", 4, 5)]),
        ("B-A I-B I-A", [("A", 0, 1), ("B", 1, 2), ("A", 2, 3)]),
        ("O I-A O", [("A", 1, 2)]),
        ("B-A E-A E-A I-A", [("A", 0, 2), ("A", 2, 3), ("A", 3, 4)]),
        ("S-A I-A S-A", [("A", 0, 1), ("A", 1, 2), ("A", 2, 3)]),
        ("B-A-B I-A-B", [("A-B", 0, 2)]),
        ("O O", []),
    ],
)
def test_entities_are_read_as_seqeval_reads_them_legal_or_not(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert entities(tags.split()) == found


@pytest.mark.parametrize(
    "tags",
    [
        "I-A I-A B-A I-A O I-B B-B O I-A",  # IOB1
        "B-A I-A B-A I-A O B-B B-B O B-A",  # BIO
        "B-A E-A B-A E-A O S-B S-B O S-A",  # BIOES
        "B-A L-A B-A L-A O U-B U-B O U-A",  # BILOU
    ],
)
def test_every_scheme_becomes_the_same_bio(tags: str) -> None:
    assert as_bio(tags.split()) == ["B-A", "I-A", "B-A", "I-A", "O", "B-B", "B-B", "O", "B-A"]


@given(st.lists(st.sampled_from(BIO)))
def test_tags_in_bio_have_the_entities_of_those_that_they_were_made_of(tags: list[str]) -> None:
    assert entities(as_bio(tags)) == entities(tags)
    assert as_bio(as_bio(tags)) == as_bio(tags)


@given(st.lists(st.sampled_from(BIO), min_size=1))
def test_tags_that_are_right_score_one_where_there_are_entities(tags: list[str]) -> None:
    metrics = entity_metrics(summed([entity_scores(tags, tags)]))
    assert metrics["f1"] == float(bool(entities(tags)))


@pytest.mark.parametrize("tag", ["", "B", "B-", "PER", "B_PER", "NOUN", "3", "o", "-", "X-PER"])
def test_what_says_nothing_of_an_entity_is_no_tag(tag: str) -> None:
    assert not is_tag(tag)
