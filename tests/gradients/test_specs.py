"""The gradient of every spec of ours, as its net, its loss and its data are: what `nn check --gradients` looks at."""

import pytest
from tests.sets import specs_folder

from dotnn.compiler import program_names
from dotnn.testing.slopes import check_slopes

SPECS = sorted(specs_folder().glob("*.nn"))
SMALLER = {
    "next": {"width": "32", "depth": "2", "context": "24"},
    "resnet": {"width": "4"},
    "translate": {"width": "32"},
}
"""Where all of it takes minutes: the same net with less of everything, which no gradient is simpler for."""


@pytest.mark.parametrize("path", SPECS, ids=[path.stem for path in SPECS])
def test_its_gradients_are_derivatives(path):
    for train in program_names(path):
        found = check_slopes(path, SMALLER.get(path.stem, {}), train)
        found.require()
        assert found.weights
        assert all(weight.bends < len(weight.slopes) for weight in found.weights), "everything stands at a bend"
