"""How ACL entries, written as for setfacl(1), change what stat and getfacl show of a file.

Source: acl(5), "The mask entry and file permission bits": if an ACL names users or groups, the
group bits that stat shows are the mask, and setfacl sets the mask to all of their permissions.
"""

from collections.abc import Iterable

KINDS = {"u": "user", "g": "group"}
BITS = {"r": 4, "w": 2, "x": 1}


def shown_entries(acl: Iterable[str]) -> tuple[str, ...]:
    """Return the entries of named users and groups as getfacl shows them, sorted."""
    return tuple(sorted(f"{kind}:{name}:{_text(bits)}" for kind, name, bits in _named(acl)))


def shown_mode(mode: str, acl: Iterable[str]) -> int:
    """Return the permission bits that stat shows for a file with this mode and these entries."""
    bits = int(mode, 8)
    mask = bits >> 3 & 7
    for _, _, more in _named(acl):
        mask |= more
    return bits & ~0o070 | mask << 3


def _named(acl: Iterable[str]) -> list[tuple[str, str, int]]:
    found = []
    for entry in acl:
        kind, name, letters = entry.split(":")
        if name:
            bits = sum(BITS[letter] for letter in set(letters) - {"-"})
            found.append((KINDS.get(kind, kind), name, bits))
    return found


def _text(bits: int) -> str:
    return "".join(letter if bits & bit else "-" for letter, bit in BITS.items())
