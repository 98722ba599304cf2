"""Which folder is which version of a model.

Follows TF Serving's
`sources/storage_path/file_system_storage_path_source.cc`.
"""

import re

HIGHEST = 2**63 - 1


def parse_version(child: str) -> int | None:
    """The version a name stands for: "00000123" -> 123, "1.tmp" -> None.

    As `safe_strto64`: digits with blanks around and a sign before, at most
    an int64.
    """
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", child, re.ASCII):
        return None
    version = int(child) if len(child) < 30 else HIGHEST + 1
    return version if -HIGHEST - 1 <= version <= HIGHEST else None


def by_version(paths):
    """Of some paths those that are versions by their names.

    Args:
        paths: iterable of `Path`.

    Returns:
        dict, version -> path, ascending.
    """
    found = {parse_version(p.name): p for p in paths}
    return {
        version: found[version] for version in sorted(found.keys() - {None})
    }
