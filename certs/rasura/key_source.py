"""A private key from where a key URI says that it is; one on a token signs there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from rasura.errors import UsageError
from rasura.key_box import Holder, PassphraseNeededError, is_sealed, open_key
from rasura.key_uri import MODULE_VARIABLE, EnvKey, FileKey, TokenUri, parse_key_uri
from rasura.keys import load_private_key

__all__ = ["check_kept_uri", "key_text", "load_signing_key", "uri_to_keep", "without_module"]


def load_signing_key(
    uri: str,
    *,
    what: str,
    base: Path | None = None,
    passphrase: Callable[[], str] | None = None,
    holder: Holder = Holder.SITE,
) -> ec.EllipticCurvePrivateKey:
    """The P-256 key at ``uri``; ``what`` it is, for sentences. Relative paths start at ``base``.

    ``passphrase`` is called if the key is sealed (:mod:`rasura.key_box`), and only then; ``holder`` is whose
    it then must be.

    Raises:
        PassphraseNeededError: the key is sealed and there is no ``passphrase``.
        WrongPassphraseError: it does not open the key.
        KeyFormatError: what is there is no P-256 key.
        UsageError: the URI is none, nothing is there, or the token does not give the key.
    """
    location = parse_key_uri(uri)
    if isinstance(location, TokenUri):
        from rasura.key_token import open_token_key  # noqa: PLC0415  its library is an extra

        return open_token_key(location)
    data = key_text(location, what=what, base=base)
    if not is_sealed(data):
        return load_private_key(data)
    if passphrase is None:
        raise PassphraseNeededError(f"{what} is under a passphrase")
    return open_key(data, passphrase(), holder)


def without_module(uri: str) -> str:
    """``uri`` without the library to load: what is handed around must not say what code is run."""
    path, mark, query = uri.partition("?")
    kept = [part for part in query.split("&") if not part.startswith("module-path=")]
    return f"{path}?{'&'.join(kept)}" if mark and kept else path


def check_kept_uri(uri: str, where: str) -> None:
    """Refuse a URI that a file ``where`` should not hold; raises :class:`UsageError`."""
    location = parse_key_uri(uri)
    if isinstance(location, TokenUri) and location.module_path is not None:
        # Folders travel on sticks: whoever writes into one must not have code run here.
        raise UsageError(
            f"{where} says which PKCS#11 module to load, which is not its to say",
            hint=f"take module-path out, and name the module in {MODULE_VARIABLE}",
        )


def uri_to_keep(uri: str) -> str:
    """``uri`` as it may be written into a file: valid from every folder, and without a secret.

    Raises:
        UsageError: it is none, or holds a PIN.
    """
    location = parse_key_uri(uri)
    if isinstance(location, FileKey):
        return f"file:{Path(location.path).absolute()}"
    if isinstance(location, TokenUri) and location.pin_value is not None:
        raise UsageError(
            "this URI is written into a file, where its PIN would lie open",
            hint="leave pin-value out, to be asked, or name a file with pin-source",
        )
    return uri


def key_text(location: FileKey | EnvKey, *, what: str, base: Path | None = None) -> bytes:
    """The bytes of a key in a file or in the environment; raises :class:`UsageError`."""
    if isinstance(location, EnvKey):
        value = os.environb.get(location.name.encode())
        if value is None:
            raise UsageError(f"the environment variable {location.name} is not set: {what} should be in it")
        return value
    path = (base or Path()) / location.path
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint=f"{what} should be there") from None
