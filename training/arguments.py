"""`[--family F] [PRESET | FILE.json] [overrides]`: what names an experiment."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from yoto_tf.command_line import parsed
from yoto_tf.errors import InputError
from yoto_tf.families import DEFAULT
from yoto_tf.families import all_presets
from yoto_tf.run_directory import read_experiment


def parse(argv, prog, purpose, make_default):
    """Parses a command line that begins with a preset or a file.

    Args:
        argv: list of words; without a preset, that of `presets.DEFAULT`, or
            the first of the family that is named.
        prog: of the help, as `"python -m training.train"`.
        purpose: one sentence for the help.
        make_default: called with the settings that were named;
            returns a dataclass whose fields become the options.

    Returns:
        `(name, default, arguments)`: the preset's name or the file's without
        its suffix, what `make_default` returned, and the same with the
        options in it.

    Raises:
        InputError: if the file does not exist or is damaged.
        SystemExit: code 2 for a wrong option, 0 after `--help`.
    """
    family, argv = _named_family(argv)
    presets = all_presets(family)
    first = next(iter(presets)) if family else DEFAULT
    if not argv or (
        argv[0].startswith("-") and argv[0] not in ("-h", "--help")
    ):
        argv = [first, *argv]
    named, *rest = argv
    if named in presets:
        preset = presets[named]
        name, default = named, make_default(preset.config)
        stop = "" if preset.summary.endswith("?") else "."
        description = (
            f"{purpose}\n\n{preset.summary}{stop}\n\n"
            f"Source: {preset.source}\n\n"
            f"Cost: {preset.cost}\n\nExpect: {preset.expect}"
        )
    elif named.endswith(".json"):
        name, default = Path(named).stem, make_default(read_experiment(named))
        description = f"{purpose}\n\nThe settings are those of {named}."
    else:
        # Prints the presets, or refuses an unknown one; never returns.
        tyro.cli(
            tyro.extras.subcommand_type_from_defaults(
                {n: make_default(p.config) for n, p in presets.items()},
                {n: p.summary for n, p in presets.items()},
            ),
            prog=prog,
            description=f"{purpose} Give a preset (without one: {first}; of "
            "a family of your own: --family MODULE:NAME before it), "
            "or the configuration of a run or a search as FILE.json, and "
            "what you want otherwise; PRESET --help lists all settings.",
            args=argv,
        )
        raise AssertionError("unreachable")
    arguments = parsed(
        type(default),
        f"{prog} {named}",
        rest,
        description=description,
        default=default,
    )
    return name, default, arguments


def named(argv):
    """The preset or file that a command line begins with, None if neither."""
    word, *_ = [*_named_family(argv)[1], ""]
    return word if word and not word.startswith("-") else None


def with_settings_of(base, config):
    """The options of a command line, those of the settings' class included.

    Args:
        base: frozen dataclass with a field `config`, for `Settings`.
        config: settings of a family.
    """
    made = dataclasses.make_dataclass(
        base.__name__,
        [("config", Annotated[type(config), tyro.conf.arg(name="")])],
        bases=(base,),
        frozen=True,
    )
    return made(config)


def _named_family(argv):
    """`--family F` at the beginning, and the other words."""
    word, *rest = argv or [""]
    option, equals, name = word.partition("=")
    if option != "--family":
        return None, argv
    if not equals:
        if not rest:
            raise InputError(
                "expected a family after --family, as module:name, "
                "received: none"
            )
        name, *rest = rest
    return name, rest
