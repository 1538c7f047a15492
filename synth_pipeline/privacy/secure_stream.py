"""Random words of a cryptographic stream, and exact or nearly exact draws from them: Gaussians, Poisson samples, parts.

Every request has a key of its own: 256 bits of the operating system, expanded by AES-256 in counter mode. There is no state to be seeded,
copied by a fork, or read from memory after a draw. Every draw takes one word of 64 bits whatever it turns out to be: nothing is rejected,
so the number of words tells nothing.

Source:
    Counter mode: NIST SP 800-38A, section 6.5, with its test vectors. Gaussians by inversion: `scipy.special.ndtri` (Cephes), which is
    within 1e-15·max(|x|, 1) of the truth (tests, against 50 digits).
"""

import math
import os
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from synth_pipeline.errors import PrivacyError

Words = NDArray[np.uint64]

LARGEST_GAUSSIAN = 9.16
"""No draw is larger: Φ(−9.16) is below 2⁻⁶⁵, the smallest uniform number that a word makes."""

_CHUNK = 1 << 16
_SIGN = np.uint64(1 << 63)
_REST = np.uint64((1 << 63) - 1)


def keystream(key: bytes, first_block: bytes, size: int) -> bytes:
    """Bytes of AES in counter mode.

    Args:
        key: 16, 24 or 32 bytes.
        first_block: the counter's first value, 16 bytes.
        size: how many bytes.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    return Cipher(AES(key), CTR(first_block)).encryptor().update(bytes(size))


def secure_words(size: int) -> Words:
    """Independent uniform words of 64 bits, under a fresh key of the operating system.

    Raises:
        PrivacyError: if size is negative.
    """
    if size < 0:
        raise PrivacyError(f"noise: {size} draws were asked for; it must be 0 or more")
    return np.frombuffer(keystream(os.urandom(32), bytes(16), 8 * size), dtype="<u8").astype(np.uint64, copy=False)


def standard_gaussians(words: Words) -> NDArray[np.float64]:
    """One standard Gaussian a word, by inversion: the top bit is the sign, the other 63 a uniform number below 1/2.

        u = (w + ½)·2⁻⁶⁴ in [2⁻⁶⁵, ½],    |x| = −Φ⁻¹(u)

    Privacy:
        The distribution function is off by at most 2⁻⁶⁴ everywhere, and x by some units in its last place. Alone these would be the holes
        of Mironov 2012; what is released is the nearest point of a lattice (`lattice_spacing`, `generate.dpsgd.noise`).
    """
    from scipy.special import ndtri

    drawn = np.empty(len(words))
    for start in range(0, len(words), _CHUNK):
        part, into = words[start : start + _CHUNK], drawn[start : start + _CHUNK]
        into[:] = part & _REST
        into += 0.5
        into *= 2.0**-64
        ndtri(into, out=into)
        into.view(np.uint64)[:] ^= part & _SIGN
    return drawn


def chosen(words: Words, rate: float) -> NDArray[np.bool_]:
    """A Poisson sample: each word says yes with probability ⌊rate·2⁶⁴⌋/2⁶⁴, at most 2⁻⁶⁴ below the rate.

    Raises:
        PrivacyError: if the rate is not in [0, 1].
    """
    if not 0 <= rate <= 1:
        raise PrivacyError(f"Poisson sample: the rate is {rate!r}; it must be between 0 and 1")
    threshold = math.floor(Fraction(rate) * 2**64)
    if threshold == 2**64:
        return np.ones(len(words), dtype=np.bool_)
    return words < np.uint64(threshold)


def parts(words: Words, count: int) -> NDArray[np.int64]:
    """A part from 0 to count − 1 for each word; uniform up to count/2⁶⁴.

    Raises:
        PrivacyError: if count is not at least 1.
    """
    if count < 1:
        raise PrivacyError(f"parts: {count} were asked for; it must be at least 1")
    return (words % np.uint64(count)).astype(np.int64)


def lattice_spacing(scale: float) -> float:
    """Spacing of the lattice on which noise of a scale is released: a power of two between scale/128 and scale/64."""
    return 2.0 ** (math.floor(math.log2(scale)) - 6)
