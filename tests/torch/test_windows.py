"""Convolutions, pools and what enlarges pictures as PyTorch text: the first epoch is ours, from our first weights."""

import pytest
from tests.torch.beside import learned
from tests.torch.conftest import compiled, export, run

pytestmark = pytest.mark.peers
pytest.importorskip("torch", reason="PyTorch is not installed (pip install -e '.[peers]')")

SPEC = """
data drawn {{
  source generate 48
  x = normal(0, 1){dims}
  y = uniform(0, 1)[3]
  split train 75%, test 25%
  seed 3
}}

net Eye(x: {type}) -> out: [b, 3] {{
  out = x -> {body} -> flatten -> dense(3)
}}

train Eye on drawn {{
  loss mse(out, y)
  optimizer sgd(lr = 0.02)
  batch 12
  epochs 1
  seed 5
}}
"""

BODIES = {
    "pictures": (
        "[2, 9, 8]",
        "conv(4, [3, 2], stride = [1, 2], padding = ([0, 1], [2, 0]), groups = 2) -> tanh"
        " -> mean_pool(3, stride = 2, padding = 1, count_padding = no) -> conv(6, init = glorot) -> max_pool",
    ),
    "enlarged": (
        "[4, 4, 3]",
        "conv_transpose(4, groups = 2) -> batch_norm -> relu -> conv_transpose(2, 3, padding = 1, more = 1, bias = no)"
        " -> group_norm(2) -> mean_pool([2, 4]) -> upsample([2, 1]) -> max_pool(3, stride = 2, padding = [1, 0])",
    ),
    "series": (
        "[3, 12]",
        "conv(4, 3, padding = [4, 0], dilation = 2) -> instance_norm -> depthwise_conv(5, times = 2) -> max_pool(3)"
        " -> upsample(3) -> global_mean_pool",
    ),
    "volumes": ("[2, 4, 3, 5]", 'conv(3, padding = "valid") -> global_max_pool'),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_first_epoch_is_ours(name, folder, tmp_path):
    dims, body = BODIES[name]
    text = SPEC.format(dims=dims, type=f"[b, {dims[1:]}", body=body)
    made = compiled(folder / "eye.nn", text)
    mine, theirs = run(export(made, tmp_path)).history[0], learned(made).history[0].splits
    for split, figures in mine.items():
        assert figures == pytest.approx({key: theirs[split][key] for key in figures}, rel=1e-4, abs=1e-5)
