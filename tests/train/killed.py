"""A driver that is going to be killed: trains the tiny recipe in the root that it is given."""

import sys

import torch

from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from tests.train.tiny import pretrain

if __name__ == "__main__":
    torch.set_num_threads(1)
    run([pretrain(steps=int(sys.argv[2]))], open_store(sys.argv[1]), InlineExecutor())
