"""Damage to files, the same for the same number: what disks, networks and ill will do to them."""

import random


def mutated(content: bytes, number: int) -> bytes:
    """The `number`-th damaged copy; it differs from the content."""
    rng = random.Random(number)
    while True:
        damaged = bytearray(content)
        for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
            rng.choice(_MUTATIONS)(damaged, rng)
        if damaged != content:
            return bytes(damaged)


def _place(damaged, rng):
    """Anywhere; half of the time in the first 4 KiB, where the headers are, or the last."""
    size = max(len(damaged), 1)
    where = rng.random()
    if where < 0.4:
        return rng.randrange(min(size, 4096))
    if where < 0.5:
        return size - 1 - rng.randrange(min(size, 512))
    return rng.randrange(size)


def _flip_a_bit(damaged, rng):
    if damaged:
        damaged[_place(damaged, rng)] ^= 1 << rng.randrange(8)


def _cut_the_end(damaged, rng):
    del damaged[_place(damaged, rng) :]


def _cut_the_last_line(damaged, rng):
    del damaged[max(len(damaged) - rng.choice((1, 8, 119, 120, 121, 600)), 0) :]


def _remove_a_piece(damaged, rng):
    start = _place(damaged, rng)
    del damaged[start : start + rng.choice((1, 2, 8, 512, 4096))]


def _splice(damaged, rng):
    start, other = _place(damaged, rng), _place(damaged, rng)
    length = rng.choice((1, 4, 8, 64, 512, 4096))
    damaged[start : start + length] = damaged[other : other + length]


def _duplicate(damaged, rng):
    start = _place(damaged, rng)
    damaged[start:start] = damaged[start : start + rng.choice((1, 8, 512, 4096))]


def _blank(damaged, rng):
    start = _place(damaged, rng)
    length = min(rng.choice((1, 8, 512, 4096)), len(damaged) - start)
    damaged[start : start + length] = rng.choice((b"\0", b"\xff")) * max(length, 0)


def _extreme_number(damaged, rng):
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice((0, 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1, 2 ** (4 * size)))
    start = _place(damaged, rng)
    damaged[start : start + size] = value.to_bytes(size, "little")


def _small_step(damaged, rng):
    if damaged:
        start = _place(damaged, rng)
        damaged[start] = (damaged[start] + rng.choice((-1, 1))) % 256


def _append(damaged, rng):
    damaged += rng.randbytes(rng.choice((1, 120, 4096)))


_MUTATIONS = (
    _flip_a_bit, _flip_a_bit, _flip_a_bit, _cut_the_end, _cut_the_last_line, _remove_a_piece,
    _splice, _duplicate, _blank, _extreme_number, _extreme_number, _small_step, _append,
)  # fmt: skip
