"""The pixels an inch of a PNG, its `pHYs` chunk (W3C, Portable Network Graphics, section 11.3.4.3).

ParaView writes none, and a picture without it has 72 or 96 pixels an inch in most programs.
"""

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_METRES_PER_INCH = 0.0254


def with_density(data, dots_per_inch):
    """A PNG's bytes with its density stated, in place of one that is there.

    Args:
        data: bytes of a PNG.
        dots_per_inch: float; the chunk counts whole pixels a metre, 300 an inch are 11811.

    Raises:
        ValueError: these are not the bytes of a PNG.
    """
    if not data.startswith(_SIGNATURE):
        raise ValueError("not a PNG")
    chunks, offset = [], len(_SIGNATURE)
    while offset < len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        chunk = data[offset : offset + 12 + length]
        if chunk[4:8] != b"pHYs":
            chunks.append(chunk)
        offset += 12 + length
    pixels = round(dots_per_inch / _METRES_PER_INCH)
    body = b"pHYs" + struct.pack(">IIB", pixels, pixels, 1)
    density = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    # after the header, before the pixels
    return b"".join((_SIGNATURE, chunks[0], density, *chunks[1:]))
