"""What all tests share."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write what the tests see as what they expect")
    help = "end runs N times at random moments, and at every single call to the disk (the usual: 30, and a few calls)"
    parser.addoption("--kills", type=int, default=0, metavar="N", help=help)


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-goldens"))
