"""The gradient of every spec of ours, as its net, its loss and its data are: what `nn check --gradients` looks at."""

import pytest
from tests.sets import specs_folder

from dotnn.compiler import program_names
from dotnn.testing.slopes import check_slopes

SPECS = sorted(specs_folder().glob("*.nn"))


@pytest.mark.parametrize("path", SPECS, ids=[path.stem for path in SPECS])
def test_its_gradients_are_derivatives(path):
    for train in program_names(path):
        found = check_slopes(path, train=train)
        found.require()
        assert found.weights
        assert all(weight.bends < len(weight.slopes) for weight in found.weights), "everything stands at a bend"
