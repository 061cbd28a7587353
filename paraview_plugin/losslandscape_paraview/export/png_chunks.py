"""The chunks of a PNG (W3C, Portable Network Graphics, section 5), read and put in.

ParaView writes no density, and a picture without one has 72 or 96 pixels an inch in most programs.
From 5.12 on it opens the state that a picture carries (File > Load State), but its scripts write
none, and its window one with absolute paths; so the plugin writes it, in all versions.
"""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_METRES_PER_INCH = 0.0254
_STATE = b"ParaViewState\0"  # the keyword by which ParaView finds it
_MOST_COMPRESSED = 2**20  # bytes; Pillow opens no picture whose texts unpack to more
_MOST_TEXT = 64 * 2**20  # bytes of a state, unpacked


def chunks(data):
    """The chunks of a PNG's bytes: pairs of kind and body.

    Raises:
        ValueError: these are not the bytes of a PNG, or it is cut off.
    """
    if not data.startswith(SIGNATURE):
        raise ValueError("not a PNG")
    offset = len(SIGNATURE)
    while offset < len(data):
        if offset + 12 > len(data):
            raise ValueError("a PNG that is cut off")
        length, kind = struct.unpack_from(">I4s", data, offset)
        body = data[offset + 8 : offset + 8 + length]
        if offset + 12 + length > len(data):
            raise ValueError("a PNG that is cut off")
        yield kind, body
        offset += 12 + length


def with_density(data, dots_per_inch):
    """A PNG's bytes with its density (`pHYs`, section 11.3.4.3), in place of one that is there.

    Args:
        data: bytes of a PNG.
        dots_per_inch: float; the chunk counts whole pixels a metre, 300 an inch are 11811.

    Raises:
        ValueError: these are not the bytes of a PNG.
    """
    pixels = round(dots_per_inch / _METRES_PER_INCH)
    kept = [pair for pair in chunks(data) if pair[0] != b"pHYs"]
    return _written(kept, (b"pHYs", struct.pack(">IIB", pixels, pixels, 1)))


def with_state(data, text):
    """A PNG's bytes with a ParaView state in it, in place of one that is there.

    Args:
        data: bytes of a PNG.
        text: the state, bytes in ASCII.

    Raises:
        ValueError: these are not the bytes of a PNG.
    """
    kept = [pair for pair in chunks(data) if not _is_state(*pair)]
    if len(text) > _MOST_COMPRESSED:
        return _written(kept, (b"tEXt", _STATE + text))
    return _written(kept, (b"zTXt", _STATE + b"\0" + zlib.compress(text, 9)))


def state_in(data):
    """The ParaView state that a PNG carries, bytes; None if it carries none.

    Raises:
        ValueError: these are not the bytes of a PNG, or the state is damaged or larger than 64 MiB.
    """
    found = next((pair for pair in chunks(data) if _is_state(*pair)), None)
    if found is None:
        return None
    kind, body = found
    packed = body[len(_STATE) :]
    if kind == b"tEXt":
        return packed
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed[1:], _MOST_TEXT)
    except zlib.error as error:
        raise ValueError(f"a PNG whose state is damaged: {error}") from error
    if not unpacker.eof:
        raise ValueError("a PNG whose state is cut off, or larger than 64 MiB")
    return text


def _is_state(kind, body):
    return kind in (b"tEXt", b"zTXt") and body.startswith(_STATE)


def _written(pairs, new):
    """The PNG of these chunks, with a new one after the header, before the pixels."""
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in (pairs[0], new, *pairs[1:])
    )
