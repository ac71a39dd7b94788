import pytest
import torch

from ictsweep.data import load
from ictsweep.training import yardstick
from tests.training.small import config


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Where the feature network of the digits is: trained once for all tests."""
    folder = tmp_path_factory.mktemp("cache")
    yardstick(config(), load(config().data), 0, folder)
    return folder


@pytest.fixture(autouse=True)
def _one_thread():
    """The sums of a test do not depend on how many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
