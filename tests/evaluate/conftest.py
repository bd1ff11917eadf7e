"""One thread a test process: two cores are shared with other tests, and tiny tensors gain nothing from more."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)
