"""Near-duplicates by another library, unverified: a signature a document, LSH, the first of each pair is kept.

python dedup_signatures.py datasketch|rensa|gaoya CORPUS
"""

import json
import sys
from pathlib import Path

NGRAM, THRESHOLD, PERMUTATIONS = 5, 0.8, 128
library, corpus = sys.argv[1:]


def shingles(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[place : place + NGRAM]) for place in range(max(1, len(words) - NGRAM + 1))]


def texts():
    for place in sorted(Path(corpus).glob("*.jsonl")):
        with open(place, "rb") as lines:
            for line in lines:
                row = json.loads(line)
                yield str(row["id"]), row["text"]


kept = dropped = 0
if library == "datasketch":
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    for name, text in texts():
        sketch = MinHash(num_perm=PERMUTATIONS)
        sketch.update_batch([shingle.encode() for shingle in set(shingles(text))])
        if index.query(sketch):
            dropped += 1
        else:
            index.insert(name, sketch)
            kept += 1
elif library == "rensa":
    from rensa import RMinHash, RMinHashLSH

    index, sketches = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=16), {}
    for number, (_, text) in enumerate(texts()):
        sketch = RMinHash(num_perm=PERMUTATIONS, seed=1)
        sketch.update(shingles(text))
        if any(sketches[other].jaccard(sketch) >= THRESHOLD for other in index.query(sketch)):
            dropped += 1
        else:
            index.insert(number, sketch)
            sketches[number] = sketch
            kept += 1
elif library == "gaoya":
    from gaoya.minhash import MinHashStringIndex

    index = MinHashStringIndex(
        hash_size=32,
        jaccard_threshold=THRESHOLD,
        num_bands=16,
        band_size=8,
        num_hashes=PERMUTATIONS,
        analyzer="word",
        lowercase=True,
        ngram_range=(NGRAM, NGRAM),
    )
    for number, (_, text) in enumerate(texts()):
        if index.query(text):
            dropped += 1
        else:
            index.insert_document(number, text)
            kept += 1
print(json.dumps({"kept": kept, "dropped": dropped}))
