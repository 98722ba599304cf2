"""Names of what a setting chooses among, a user's own included.

A setting is a text, so that a command line, a JSON file, a study's worker and
a saved model all say the same:

    film                              one of the library's
    my_package.layers:Mine            a class that is imported when it is used
    my_package.layers:Mine(slope=2)   the same, with arguments

In Python it may also be the class, an object of it, or the name that it was
registered under; what is kept is the text. Imports no TensorFlow.
"""

import ast
import functools
import importlib
import re
import sys

from yoto_tf.errors import InputError

_TEXT = re.compile(
    r"(?:(?P<module>[\w.]+):)?(?P<name>[\w.]+)(?P<given>\(.*\))?"
)
# Of every Keras layer; the network sees to them.
_OF_KERAS = ("name", "dtype", "trainable")


class Registry:
    """The choices of one setting.

    Args:
        setting: its name, for messages.
        base: `MODULE:CLASS` that all choices are subclasses of.
        built_in: dict, name -> `MODULE:CLASS`, or None for a choice of
            nothing.
    """

    def __init__(self, setting, base, built_in):
        self._setting = setting
        self._base = base
        self.built_in = built_in
        self._own = {}

    @property
    def names(self):
        """All names that are known in this process."""
        return [*self.built_in, *sorted(self._own)]

    def register(self, name):
        """A class decorator that makes `name` a choice.

        Raises:
            InputError: for a name that is taken or no name, or another kind
                of class.
        """
        if not isinstance(name, str) or not name.isidentifier():
            raise InputError(
                f"expected a name of letters, digits and _, received: {name!r}"
            )

        def register(thing):
            self._check_class(thing, thing)
            taken = self._own.get(name)
            # Notebooks and reloads define a class again.
            again = taken and taken.__qualname__ == thing.__qualname__
            if name in self.built_in or (taken and not again):
                raise InputError(
                    f"expected a new name for {thing.__name__}, received: "
                    f"{name!r}, which is taken; those are {self.names}"
                )
            self._own[name] = thing
            return thing

        return register

    def text(self, value):
        """Returns the text of a choice, which any process understands.

        Args:
            value: a text, a class or an object.

        Raises:
            InputError: for what is none of these, or an unknown name; the
                message lists those there are.
        """
        if not isinstance(value, str):
            return self._text_of(value)
        module, name, given = self._parsed(value)
        if module:
            return f"{module}:{name}{_formatted(given)}"
        if name in self._own:
            return self._text_of_class(self._own[name]) + _formatted(given)
        if name not in self.built_in:
            raise self._unknown(value)
        if given:
            raise InputError(
                f"expected the settings of {name!r} beside it, as settings "
                f"of their own, received: {self._setting}={value!r}"
            )
        return name

    def find(self, text):
        """Imports a choice.

        Returns:
            `(class, arguments)`; the class is None for a choice of nothing.

        Raises:
            InputError: if there is no such class, or one of another kind.
        """
        module, name, given = self._parsed(text)
        if not module and name not in self.names:
            raise self._unknown(text)
        if not module and name in self.built_in:
            location = self.built_in[name]
            return (None if location is None else _imported(location)), given
        if module:
            try:
                found = _imported(f"{module}:{name}")
            except (ImportError, AttributeError) as error:
                raise InputError(
                    f"expected {self._setting} as MODULE:CLASS of a module "
                    f"that can be imported, received: {text!r} ({error})"
                ) from error
        else:
            found = self._own[name]
        self._check_class(found, text)
        return found, given

    def make(self, text, **arguments):
        """Builds what a text names, with `arguments` besides its own.

        Raises:
            InputError: as `find`, or for arguments that the class refuses.
        """
        found, given = self.find(text)
        if found is None:
            return None
        try:
            return found(**given, **arguments)
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            raise InputError(
                f"expected arguments that {found.__name__} takes, received: "
                f"{self._setting}={text!r} ({error})"
            ) from error

    def _unknown(self, text):
        return InputError(
            f"expected {self._setting} to be one of "
            f"{', '.join(map(repr, self.names))}, or MODULE:CLASS, received: "
            f"{self._setting}={text!r}"
        )

    def _check_class(self, thing, received):
        base = _imported(self._base)
        if not isinstance(thing, type) or not issubclass(thing, base):
            raise InputError(
                f"expected {self._setting} to be a subclass of "
                f"{base.__name__}, received: {received!r}"
            )

    def _parsed(self, text):
        match = _TEXT.fullmatch(text.strip())
        if not match:
            raise self._unknown(text)
        try:
            given = _arguments(match["given"] or "()")
        except (SyntaxError, ValueError):
            raise InputError(
                "expected arguments as (name=value, ...), of numbers, texts, "
                f"lists and the like, received: {self._setting}={text!r}"
            ) from None
        return match["module"], match["name"], given

    def _text_of(self, value):
        if isinstance(value, type):
            self._check_class(value, value)
            return self._text_of_class(value)
        if not isinstance(value, _imported(self._base)):
            raise self._unknown(value)
        if hasattr(value, "get_config"):
            config = value.get_config()
            given = {k: v for k, v in config.items() if k not in _OF_KERAS}
        elif vars(value):
            raise InputError(
                f"expected {type(value).__name__} to say its arguments by "
                f"get_config(), received: {self._setting}={value!r}"
            )
        else:
            given = {}
        text = self._text_of_class(type(value))
        if text in self.built_in:
            # Their own settings stand beside their names.
            text = self.built_in[text]
        text += _formatted(given)
        # Refuses arguments that no text can hold.
        self._parsed(text)
        return text

    def _text_of_class(self, found):
        """Its place, where another process finds it without having imported
        it; else the name that it was registered under."""
        location = _location(found)
        for name, place in self.built_in.items():
            if place == location is not None:
                return name
        for name, own in self._own.items():
            if own is found and (
                location is None or location.startswith("__main__:")
            ):
                return name
        if location is None:
            raise InputError(
                "expected a class that is defined in a module, not in a "
                "function, or one that is registered under a name, received: "
                f"{self._setting}={found!r}"
            )
        return location


def _imported(location):
    module, name = location.split(":")
    return functools.reduce(
        getattr, name.split("."), importlib.import_module(module)
    )


def _location(found):
    """`MODULE:CLASS`, or None where the class is not found there."""
    place = sys.modules.get(found.__module__)
    for name in found.__qualname__.split("."):
        place = getattr(place, name, None)
    if place is not found:
        return None
    return f"{found.__module__}:{found.__qualname__}"


def _arguments(text):
    call = ast.parse(f"f{text}", mode="eval").body
    if not isinstance(call, ast.Call) or call.args:
        raise ValueError(text)
    found = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    if None in found:
        raise ValueError(text)
    return found


def _formatted(given):
    inside = ", ".join(f"{k}={v!r}" for k, v in given.items())
    return f"({inside})" if inside else ""


CONDITIONING = Registry(
    "kind",
    "yoto_tf.layers.base:ConditioningLayer",
    {
        "film": "yoto_tf.layers.conditioning:FiLM",
        "sigmoid_film": "yoto_tf.layers.conditioning:SigmoidFiLM",
        "gate": "yoto_tf.layers.conditioning:Gate",
        "spline": "yoto_tf.layers.spline:SplineFiLM",
        "concatenation": "yoto_tf.layers.conditioning:Concatenation",
        "none": None,
    },
)


def register_conditioning(name):
    """Makes a `ConditioningLayer` of one's own a `kind` of conditioning.

    Args:
        name: that `ConditioningConfig(kind=...)` then takes, in processes
            that have imported the class; files and command lines name it
            as `MODULE:CLASS`, which is imported when it is used.

    Raises:
        InputError: for a name that is taken or no name, or another class.

    Example:
        @yoto_tf.register_conditioning("mine")
        class Mine(yoto_tf.ConditioningLayer):
            ...

        yoto_tf.ConditioningConfig(kind="mine")
    """
    return CONDITIONING.register(name)
