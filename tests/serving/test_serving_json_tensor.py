"""Tensors from JSON values, by their dtype."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from tensorflow.core.framework import types_pb2

from serving.embedded.json import tensor as json_tensor
from serving.embedded.status import Code
from serving.embedded.status import StatusError

FLOAT = types_pb2.DT_FLOAT
STRING = types_pb2.DT_STRING


@pytest.mark.parametrize(
    ("data_type", "good", "bad"),
    [
        (types_pb2.DT_INT8, [1, -1, 300], [1.0, 2**31, True, "1", None]),
        (types_pb2.DT_INT32, [-(2**31)], [2**31, 0.5]),
        (types_pb2.DT_INT64, [2**63 - 1], [2**63]),
        (types_pb2.DT_UINT32, [2**32 - 1], [-1]),
        (types_pb2.DT_UINT64, [2**64 - 1, 0], [-1, 2**64]),
        (types_pb2.DT_BOOL, [True, False], [0, "true"]),
        (FLOAT, [1, 1.5], [True, "1", {"b64": "AA=="}, {}]),
        (STRING, ["é", {"b64": "AA=="}], [1, {"b64": 1}, {"c": "AA=="}]),
    ],
)
def test_values_by_dtype(data_type, good, bad):
    assert json_tensor.dense(good, data_type) is not None
    assert json_tensor.fill(good, data_type).shape == (len(good),)
    for value in bad:
        assert json_tensor.dense([value], data_type) is None
        with pytest.raises(StatusError) as caught:
            json_tensor.fill([value], data_type)
        assert caught.value.code == Code.INVALID_ARGUMENT


@hypothesis.given(
    st.recursive(
        st.one_of(
            st.integers(-5, 5), st.floats(width=32), st.booleans(), st.text()
        ),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=12,
    ),
    st.sampled_from([FLOAT, STRING, types_pb2.DT_INT32, types_pb2.DT_BOOL]),
)
@hypothesis.settings(max_examples=200, deadline=None)
def test_the_fast_and_the_exact_way_agree(value, data_type):
    fast = json_tensor.dense(value, data_type)
    try:
        exact = json_tensor.fill(value, data_type)
    except StatusError:
        assert fast is None
    else:
        assert fast is not None
        np.testing.assert_array_equal(fast, exact)
        assert fast.dtype == exact.dtype
