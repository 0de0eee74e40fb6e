"""DER as a tree that can be changed at any place and encoded again, also wrongly."""

from collections.abc import Iterator
from dataclasses import dataclass, field

OCTET_STRING, BIT_STRING = 0x04, 0x03


@dataclass
class Item:
    """A tag with bytes or with items in it; `length` tells how its length is written."""

    tag: int
    content: bytes = b""
    items: list["Item"] = field(default_factory=list)
    length: str = "shortest"  # or long, longer, indefinite, one-more, one-less

    def encode(self) -> bytes:
        content = self.content + b"".join(item.encode() for item in self.items)
        return bytes([self.tag]) + self._length(len(content)) + content + self._end()

    def _length(self, size: int) -> bytes:
        match self.length:
            case "indefinite":
                return b"\x80"
            case "long":
                return b"\x82" + (size & 0xFFFF).to_bytes(2)
            case "longer":
                return b"\x84" + size.to_bytes(4)
            case "one-more":
                size += 1
            case "one-less":
                size = max(size - 1, 0)
        if size < 128:
            return bytes([size])
        octets = size.to_bytes((size.bit_length() + 7) // 8)
        return bytes([0x80 | len(octets)]) + octets

    def _end(self) -> bytes:
        return b"\0\0" if self.length == "indefinite" else b""

    def walk(self) -> Iterator["Item"]:
        """Yield this item and all beneath it."""
        yield self
        for item in self.items:
            yield from item.walk()


def decode(data: bytes) -> Item:
    """Return the tree of well-formed DER; an octet string that holds DER is opened as well."""
    item, rest = _decode_one(data)
    if rest:
        raise ValueError("bytes behind the item")
    return item


def _decode_one(data: bytes) -> tuple[Item, bytes]:
    if len(data) < 2:
        raise ValueError("no item")
    tag, size, start = data[0], data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start])
    content, rest = data[start : start + size], data[start + size :]
    if len(content) != size:
        raise ValueError("the item is cut off")
    if tag & 0x20:
        items = []
        while content:
            item, content = _decode_one(content)
            items.append(item)
        return Item(tag, items=items), rest
    if tag == OCTET_STRING:
        try:
            return Item(tag, items=[decode(content)]), rest
        except ValueError:
            pass
    return Item(tag, content), rest
