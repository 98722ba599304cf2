"""A SavedModel in the C++ loader and session that TF Serving uses.

`tf.saved_model.load` is no check: it runs functions eagerly and finds
variables that a session does not. The embedded server of `serving` has an
engine of its own that also carries over error codes and undeclared shapes,
through a private method of TensorFlow; to compare numbers, the public
`Session.run` is enough.
"""

import tensorflow as tf

_MUST = "_XlaMustCompile"


class Session:
    """The graph tagged `serve` of a SavedModel, on the CPU.

    Usable as a context manager, which frees it.

    Args:
        path: the directory that holds saved_model.pb.

    Attributes:
        operations: set of the types of its operations.
        is_compiled: whether a function of it has to be compiled by XLA.
    """

    def __init__(self, path):
        # The loader tells of its own age at each use.
        level = tf.get_logger().level
        tf.get_logger().setLevel("ERROR")
        graph = tf.Graph()
        try:
            with graph.as_default():
                self._session = tf.compat.v1.Session(
                    graph=graph,
                    config=tf.compat.v1.ConfigProto(device_count={"GPU": 0}),
                )
                meta_graph = tf.compat.v1.saved_model.load(
                    self._session, [tf.saved_model.SERVING], str(path)
                )
        finally:
            tf.get_logger().setLevel(level)
        graph_def = meta_graph.graph_def
        functions = (f.node_def for f in graph_def.library.function)
        self.operations = {
            node.op for nodes in (graph_def.node, *functions) for node in nodes
        }
        self.is_compiled = must_be_compiled(graph_def)
        self._signatures = {
            name: signature
            for name, signature in meta_graph.signature_def.items()
            # TensorFlow's own: it runs the initializers.
            if name != "__saved_model_init_op"
        }

    @property
    def signatures(self):
        """Set of the names of its signatures."""
        return set(self._signatures)

    def run(self, signature, inputs):
        """Runs one signature.

        Args:
            signature: its name.
            inputs: dict, name -> array.

        Returns:
            dict, name -> array.

        Raises:
            KeyError: for names that the SavedModel does not have.
            tf.errors.OpError: if the graph refuses the inputs.
        """
        found = self._signatures[signature]
        return self._session.run(
            {n: t.name for n, t in found.outputs.items()},
            {found.inputs[n].name: v for n, v in inputs.items()},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session.close()


def must_be_compiled(graph_def):
    """Whether a graph has a function of `jit_compile=True`, which TF Serving
    runs with `--xla_cpu_compilation_enabled` alone."""
    functions = graph_def.library.function
    nodes = [*graph_def.node, *(n for f in functions for n in f.node_def)]
    return any(
        one.attr[_MUST].b for one in [*nodes, *functions] if _MUST in one.attr
    )
