"""A key on a PKCS#11 token or HSM, which signs there and never leaves it.

:class:`TokenKey` is a P-256 private key by the interface of ``cryptography``, so what certifies with it needs
not know where it is. It signs and tells its public key, and can do nothing else.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import click
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from rasura.ecdsa import one_form
from rasura.errors import RasuraError, UsageError
from rasura.key_uri import MODULE_VARIABLE, TokenUri

__all__ = ["TokenError", "TokenKey", "open_token_key"]

_COORDINATE_BYTES = 32


class TokenError(UsageError):
    """The token is not there, does not open, or does not have the key."""


class TokenKey(ec.EllipticCurvePrivateKey):
    """A P-256 key that signs on its token; signatures have the one form of :mod:`rasura.ecdsa`."""

    def __init__(self, key: Any, public: ec.EllipticCurvePublicKey) -> None:
        self._key = key
        self._public = public
        self._lock = threading.Lock()

    def sign(
        self, data: bytes | bytearray | memoryview, signature_algorithm: ec.EllipticCurveSignatureAlgorithm
    ) -> bytes:
        """An ECDSA signature in DER with the smaller ``s``; raises :class:`TokenError`."""
        import pkcs11  # noqa: PLC0415  an extra

        if not isinstance(signature_algorithm, ec.ECDSA):
            raise TokenError("a key on a token signs by ECDSA only")
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, Prehashed):
            digest = bytes(data)
        else:
            hashing = hashes.Hash(algorithm)
            hashing.update(data)
            digest = hashing.finalize()
        try:
            with self._lock:
                raw = self._key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
        except pkcs11.PKCS11Error as error:
            raise TokenError(f"the token did not sign: {_words(error)}") from None
        if len(raw) != 2 * _COORDINATE_BYTES:
            raise TokenError("the token gave a signature that is not one of P-256")
        r, s = (int.from_bytes(one, "big") for one in (raw[:_COORDINATE_BYTES], raw[_COORDINATE_BYTES:]))
        signature = one_form(encode_dss_signature(r, s))
        try:
            self._public.verify(signature, data, signature_algorithm)
        except InvalidSignature:
            raise TokenError("the token's signature does not fit the public key beside it") from None
        return signature

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """256 bits."""
        return self._public.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:  # noqa: ARG002
        """Never."""
        raise _stays()

    def private_numbers(self) -> NoReturn:
        """Never."""
        raise _stays()

    def private_bytes(
        self,
        encoding: serialization.Encoding,  # noqa: ARG002
        format: serialization.PrivateFormat,  # noqa: A002, ARG002
        encryption_algorithm: serialization.KeySerializationEncryption,  # noqa: ARG002
    ) -> NoReturn:
        """Never."""
        raise _stays()

    def __copy__(self) -> TokenKey:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TokenKey:
        return self


@lru_cache(maxsize=8)
def open_token_key(uri: TokenUri) -> TokenKey:
    """The key that ``uri`` names, its token open and logged in to for as long as the process lasts.

    Asked for again it is the same one, and nobody is asked for the PIN twice.

    The PIN comes from the URI, from the file that it names, or is asked for at the terminal.

    Raises:
        UsageError: the extra is not installed, or no module is named.
        TokenError: there is not exactly one such key, it is no P-256 key, or the PIN is wrong.
    """
    try:
        import pkcs11  # noqa: PLC0415  an extra
    except ImportError:
        raise UsageError(
            "a key on a token needs a library that is not installed", hint="pip install 'rasura[pkcs11]'"
        ) from None
    module = uri.module_path or os.environ.get(MODULE_VARIABLE)
    if not module:
        raise UsageError(
            "the pkcs11: URI names no module",
            hint=f"add ?module-path=/usr/lib/…/MODULE.so, or name that file in {MODULE_VARIABLE}",
        )
    try:
        library = pkcs11.lib(module)
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise TokenError(f"the PKCS#11 module {module} cannot be used: {_words(error)}") from None
    try:
        session = _open(_one_token(library, uri), uri)
        wanted = {
            name: value
            for name, value in ((pkcs11.Attribute.LABEL, uri.object), (pkcs11.Attribute.ID, uri.id))
            if value is not None
        }
        key = _one_key(session, wanted)
        # The certificate of a PIV token bears the same id, and another label.
        public = _public_key(session, {pkcs11.Attribute.ID: key.id} if key.id else wanted)
    except pkcs11.PKCS11Error as error:
        raise TokenError(f"the token does not give the key: {_words(error)}") from None
    return TokenKey(key, public)


def _open(token: Any, uri: TokenUri) -> Any:
    import pkcs11  # noqa: PLC0415  an extra

    try:
        return token.open(user_pin=_pin(uri, token.label))
    except pkcs11.UserAlreadyLoggedIn:
        return token.open()  # a login counts for the process (PKCS #11 section 5.6.7)
    except (pkcs11.PinIncorrect, pkcs11.PinLenRange, pkcs11.PinInvalid):
        raise TokenError(
            f"the PIN is not that of the token {token.label!r}; a few wrong ones lock it"
        ) from None
    except pkcs11.PinLocked:
        raise TokenError(f"the PIN of the token {token.label!r} is locked") from None


def _one_token(library: Any, uri: TokenUri) -> Any:
    import pkcs11  # noqa: PLC0415  an extra

    tokens = [
        token
        for token in library.get_tokens(token_flags=pkcs11.TokenFlag.TOKEN_INITIALIZED)
        if (uri.token is None or token.label == uri.token)
        and (uri.serial is None or token.serial.decode("ascii", "replace").strip("\0 ") == uri.serial)
        and (uri.manufacturer is None or token.manufacturer_id.strip() == uri.manufacturer)
        and (uri.model is None or token.model.strip() == uri.model)
    ]
    if len(tokens) != 1:
        raise TokenError(f"{len(tokens) or 'no'} tokens here are the one that the pkcs11: URI names")
    return tokens[0]


def _one_key(session: Any, wanted: dict[Any, Any]) -> Any:
    import pkcs11  # noqa: PLC0415  an extra

    found = list(session.get_objects({**wanted, pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}))
    if len(found) != 1:
        raise TokenError(f"{len(found) or 'no'} private keys on the token are the one that the URI names")
    return found[0]


def _public_key(session: Any, wanted: dict[Any, Any]) -> ec.EllipticCurvePublicKey:
    """The public half: of a public key object or a certificate of the same name, as PIV tokens have them."""
    import pkcs11  # noqa: PLC0415  an extra
    from cryptography import x509  # noqa: PLC0415  beside the other
    from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415  an extra

    kinds = pkcs11.ObjectClass
    try:
        for one in session.get_objects({**wanted, pkcs11.Attribute.CLASS: kinds.PUBLIC_KEY}):
            if one.key_type is not pkcs11.KeyType.EC:
                break
            key = serialization.load_der_public_key(encode_ec_public_key(one))
            if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
                return key
        for one in session.get_objects({**wanted, pkcs11.Attribute.CLASS: kinds.CERTIFICATE}):
            certified = x509.load_der_x509_certificate(one[pkcs11.Attribute.VALUE]).public_key()
            if isinstance(certified, ec.EllipticCurvePublicKey) and isinstance(certified.curve, ec.SECP256R1):
                return certified
    except (ValueError, UnsupportedAlgorithm, pkcs11.AttributeTypeInvalid):
        pass
    raise TokenError("the token tells no ECDSA P-256 public key that belongs to the private key")


def _pin(uri: TokenUri, label: str) -> str:
    if uri.pin_value is not None:
        return uri.pin_value
    if uri.pin_source is not None:
        try:
            return Path(uri.pin_source).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
            raise UsageError(f"cannot read the PIN from {uri.pin_source}: {reason}") from None
    if not sys.stdin.isatty():
        raise UsageError(
            f"the token {label!r} needs its PIN and nobody is here to type it",
            hint="use a terminal, or name a file that holds it: pkcs11:…?pin-source=PATH",
        )
    typed: str = click.prompt(f"PIN of the token {label}", hide_input=True, err=True)
    return typed


def _stays() -> RasuraError:
    return TokenError("the key is on a token, and stays there")


def _words(error: Exception) -> str:
    text = str(error)
    name = type(error).__name__
    return f"{name}: {text}" if text else name
