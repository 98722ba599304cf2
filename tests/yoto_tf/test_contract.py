"""The messages that export and server share."""

import subprocess
import sys

from google.protobuf import text_format

from yoto_tf.contract.batching import BatchingParameters
from yoto_tf.contract.messages import message_class


def test_batching_parameters_are_tf_servings():
    """By `session_bundle_config.proto`; the numbers count on the wire."""
    fields = BatchingParameters.DESCRIPTOR.fields
    assert [(f.name, f.number, f.is_repeated) for f in fields] == [
        ("max_batch_size", 1, False),
        ("batch_timeout_micros", 2, False),
        ("max_enqueued_batches", 3, False),
        ("num_batch_threads", 4, False),
        ("thread_pool_name", 5, False),
        ("allowed_batch_sizes", 6, True),
        ("pad_variable_length_inputs", 7, False),
    ]
    text = """
        max_batch_size { value: 4 } thread_pool_name { value: "t" }
        allowed_batch_sizes: 2 allowed_batch_sizes: 4
        pad_variable_length_inputs: true
    """
    message = text_format.Parse(text, BatchingParameters())
    assert message.HasField("max_batch_size")
    assert not message.HasField("num_batch_threads")
    assert message.SerializeToString() == (
        b"\x0a\x02\x08\x04\x2a\x03\x0a\x01t\x32\x02\x02\x04\x38\x01"
    )


def test_messages_that_name_each_other():
    config = message_class(
        Config={"pages": "repeated Page", "on": "bool"},
        Page={"path": "string"},
    )
    found = text_format.Parse(
        'on: true pages { path: "/a" } pages {}', config()
    )
    assert [page.path for page in found.pages] == ["/a", ""]
    # Each call has a pool of its own: names may come again.
    assert not message_class(Page={"number": "int64"})().number


def test_the_contract_needs_no_tensorflow():
    code = (
        "import sys, yoto_tf.contract.batching; "
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
