import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    """The sums of a test do not depend on how many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
