"""ONNX's own evaluator, with what it computes otherwise than its specification says put right."""

# The evaluator is untyped, and each of its operators has a signature of its own.
# mypy: disable-error-code="no-untyped-call,override"

from __future__ import annotations

from typing import Any

import numpy as np
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_max_pool import MaxPool as TheirMaxPool

import onnx

Array = np.ndarray[Any, Any]


class MaxPool(TheirMaxPool):
    """MaxPool whose `Indices` count through the whole tensor wherever they are asked for.

    So the specification has it (MaxPool-12: the tensor laid out in one dim, from 0 to N x C x D1 x … x Dn). With a
    stride of 1 the evaluator of onnx 1.23 takes a shorter way, where they begin again at each channel.
    """

    op_domain = ""

    def _run(self, x: Any, **how: Any) -> Any:
        if len(self.output) == 1:
            return super()._run(x, **how)
        return self._max_pool(x, **how)


class GatherElements(OpRun):
    """GatherElements-13 of any size: the evaluator of onnx 1.23 chooses from at most 64 numbers."""

    op_domain = ""

    def _run(self, data: Array, indices: Array, axis: int = 0) -> tuple[Array]:
        around = axis % data.ndim
        seen = data[tuple(slice(None if dim == around else n) for dim, n in enumerate(indices.shape))]
        return (np.take_along_axis(seen, indices % max(data.shape[around], 1), around),)


def evaluator_of(model: onnx.ModelProto) -> ReferenceEvaluator:
    return ReferenceEvaluator(model, new_ops=[MaxPool, GatherElements])
