"""datatrove: JSON lines → Gopher repetition filter → MinHash deduplication (four stages) → tokens. Run by its own Python.

python datatrove_corpus.py CORPUS WORK [TOKENIZER_JSON]

Without a tokenizer, the deduplication alone.
"""

import sys

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import GopherRepetitionFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter

corpus, work, *tokenizer = sys.argv[1:]
config = MinhashConfig(n_grams=5, num_buckets=9, hashes_per_bucket=13)


def stage(name: str, *steps: object, tasks: int = 1) -> None:
    LocalPipelineExecutor(pipeline=list(steps), tasks=tasks, workers=1, logging_dir=f"{work}/logs/{name}").run()


filtered = corpus
if tokenizer:
    filtered = f"{work}/filtered"
    stage("filter", JsonlReader(corpus), GopherRepetitionFilter(), JsonlWriter(filtered, compression=None))
stage("signatures", JsonlReader(filtered), MinhashDedupSignature(f"{work}/signatures", config=config))
stage("buckets", MinhashDedupBuckets(f"{work}/signatures", f"{work}/buckets", config=config), tasks=config.num_buckets)
stage("cluster", MinhashDedupCluster(f"{work}/buckets", f"{work}/remove", config=config))
stage("drop", JsonlReader(filtered), MinhashDedupFilter(f"{work}/remove"), JsonlWriter(f"{work}/kept", compression=None))
if tokenizer:
    stage("tokens", JsonlReader(f"{work}/kept"), DocumentTokenizer(f"{work}/tokens", tokenizer_name_or_path=tokenizer[0], eos_token=None))
