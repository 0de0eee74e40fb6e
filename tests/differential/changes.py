"""Changes that make a request nearly right: to its tree, to its bytes, and to its PEM block."""

import random
from collections.abc import Callable
from copy import deepcopy

from tests.differential.tree import Item, decode
from tests.request_bytes import (
    ADDRESS,
    CN,
    NAME,
    O,
    attribute,
    der,
    extension_request,
    request,
    sans,
)

NULL = der(0x05)
# UTF8, Numeric, Printable, T61, Videotex, IA5, UTCTime, Graphic, Visible, General, Universal, BMP.
STRING_TAGS = (0x0C, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x19, 0x1A, 0x1B, 0x1C, 0x1E)
LENGTHS = ("long", "longer", "indefinite", "one-more", "one-less")
TEXTS = tuple(
    text if isinstance(text, bytes) else text.encode()
    for text in (
        "", " ", ".", "*", "node-1", "NODE-1", "node-1.", "*.node-1", "node-1\0.example.org",
        "node-1\n", " node-1", "node-1 ", "kubernetes", "localhost", "node_1", "n\xf6de-1",
        "xn--nde-1-wxa", "node-1\u200b", "\uff4eode-1", "system:nodes", "system:masters",
        "system:node:node-1", "system:node:node-2", "system:node:node-1\0", "-", "a" * 63, "a" * 64,
        "a" * 300, b"\xff\xfe", b"\xc0\xae", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
        b"\0n\0o\0d\0e\0-\0001", b"\xd8\0", b"node\x7f", b"\0", b"-1", b"10.0.0.1",
        bytes([10, 0, 0, 1]), bytes(16), b"\xff" * 16, bytes([10, 0, 0]),
        bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 1]), bytes([10, 0, 0, 0, 255, 0, 0, 0]),
    )
)  # fmt: skip


class Changes:
    """Each call makes one change of a random kind at a random place."""

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._kinds: tuple[Callable[[Item], None], ...] = (
            self._change_tag, self._change_bytes, self._change_text, self._change_length,
            self._repeat, self._move, self._remove, self._insert, self._swap, self._nest,
        )  # fmt: skip

    def to_tree(self, root: Item) -> None:
        self._random.choice(self._kinds)(root)

    def _any(self, root: Item) -> Item:
        return self._random.choice([*root.walk()])

    def _parent(self, root: Item) -> Item:
        return self._random.choice([item for item in root.walk() if item.items] or [root])

    def _change_tag(self, root: Item) -> None:
        item = self._any(root)
        tag = self._random.choice((*STRING_TAGS, 0x82, 0x87, 0x81, 0x86, item.tag ^ 0x20))
        item.tag = tag if self._random.random() < 0.8 else self._random.randrange(256)

    def _change_bytes(self, root: Item) -> None:
        leaves = [item for item in root.walk() if not item.items]
        if leaves:
            item = self._random.choice(leaves)
            item.content = self.to_bytes(item.content)

    def _change_text(self, root: Item) -> None:
        texts = [item for item in root.walk() if item.tag in (*STRING_TAGS, 0x82, 0x87)]
        if texts:
            self._random.choice(texts).content = self._random.choice(TEXTS)

    def _change_length(self, root: Item) -> None:
        self._any(root).length = self._random.choice(LENGTHS)

    def _repeat(self, root: Item) -> None:
        items = self._parent(root).items
        if items:
            items.insert(
                self._random.randrange(len(items) + 1), deepcopy(self._random.choice(items))
            )

    def _move(self, root: Item) -> None:
        self._random.shuffle(self._parent(root).items)

    def _remove(self, root: Item) -> None:
        items = self._parent(root).items
        if items:
            items.pop(self._random.randrange(len(items)))

    def _insert(self, root: Item) -> None:
        items, text = self._parent(root).items, self._random.choice(TEXTS)
        new = self._random.choice((
            NULL, NAME, ADDRESS, sans(NAME), extension_request(sans(NAME)),
            der(0x31, attribute(CN, "x")), attribute(CN, "system:node:node-2"),
            attribute(O, "system:masters"), der(0x01, b"\0"),
            der(0x01, b"\xff"), der(0x02, b"\xff"), der(0x02, b"\0\0"), der(0x82, text),
            der(0x87, text), der(0xA0), der(0x30),
        ))  # fmt: skip
        items.insert(self._random.randrange(len(items) + 1), decode(new))

    def _swap(self, root: Item) -> None:
        one, other = self._parent(root).items, self._parent(root).items
        if one and other:
            i, j = self._random.randrange(len(one)), self._random.randrange(len(other))
            # Copies, so that no item comes to hold itself.
            one[i], other[j] = deepcopy(other[j]), deepcopy(one[i])

    def _nest(self, root: Item) -> None:
        item = self._any(root)
        item.items, item.content = [Item(item.tag, item.content, item.items)], b""
        item.tag = self._random.choice((0x30, 0x31, 0x04, 0xA0, 0x24, item.tag))

    def to_bytes(self, data: bytes) -> bytes:
        changed = bytearray(data)
        at = self._random.randrange(len(changed) + 1)
        match self._random.randrange(4):
            case 0 if at < len(changed):
                changed[at] ^= 1 << self._random.randrange(8)
            case 1 if at < len(changed):
                del changed[at]
            case 2:
                changed.insert(at, self._random.choice((0, 1, 0x7F, 0x80, 0xFF)))
            case _:
                changed = changed[:at]
        return bytes(changed)

    def to_pem(self, pem: bytes) -> bytes:
        other = request(extension_request(sans(ADDRESS)))
        line = self._random.randrange(1, pem.count(b"\n"))
        lines = pem.splitlines(keepends=True)
        return self._random.choice((
            pem + other, other + pem, b" " + pem + other, pem.replace(b"\n", b"\n ") + other,
            b"x" + pem + other, pem.rstrip() + b"x\n" + other, pem.replace(b"\n", b"") + other,
            pem.replace(b"\n-----END", b"-----END") + other, pem.replace(b"\n", b"\r"),
            pem.replace(b"\n", b"\r\n"), b"hello\n" + pem, pem + b"\n", pem.rstrip(b"\n"),
            pem.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST") + other,
            pem.replace(b"REQUEST-----\n", b"REQUEST-----\nA: b\n\n", 1) + other,
            pem.replace(b"REQUEST-----\n", b"REQUEST-----\nA: b\n", 1) + other,
            b"-----BEGIN CERTIFICATE REQUEST-----\n!!!!\n-----END CERTIFICATE REQUEST-----\n" + pem,
            b"-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n" + pem,
            b"".join([*lines[:line], b"\n", *lines[line:]]),
            b"".join([*lines[:line], b"\t", *lines[line:]]),
            b"".join([*lines[:line], lines[line].rstrip() + b"=\n", *lines[line + 1 :]]),
            b"".join([*lines[:line], lines[line].rstrip(), *lines[line + 1 :]]),
            self.to_bytes(pem), self.to_bytes(pem) + other, pem.lower(), b"\xef\xbb\xbf" + pem,
            b"\0" + pem,
        ))  # fmt: skip
