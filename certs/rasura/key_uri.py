"""Where a private key is: a path, ``file:PATH``, ``env:NAME`` or ``pkcs11:…``. Pure.

==============  ==========================================================================================
``PATH``        a file; whatever has no scheme (a colon after two letters or more)
``file:PATH``   a file, the path taken as it stands, nothing percent-decoded; ``file:///PATH`` likewise
``env:NAME``    the environment variable NAME holds the text that the file would
``pkcs11:…``    a key that stays on its token or HSM (RFC 7512); see :class:`TokenUri`
==============  ==========================================================================================

What a URI says and we do not know is refused and not passed over: it could have chosen another key.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import msgspec

from rasura.errors import UsageError

__all__ = ["MODULE_VARIABLE", "EnvKey", "FileKey", "KeyUriError", "TokenUri", "parse_key_uri"]

MODULE_VARIABLE = "RASURA_PKCS11_MODULE"
"""Names the PKCS#11 module (a shared library) where the URI has no module-path."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE = re.compile(r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,=&/?|-]|%[0-9A-Fa-f]{2})*")
"""Characters of a value (RFC 7512 section 2.3), those of either part."""
_PATH_ATTRIBUTES = {"token", "manufacturer", "serial", "model", "object", "id", "type"}
_QUERY_ATTRIBUTES = {"module-path", "pin-source", "pin-value"}


class KeyUriError(UsageError):
    """This names no key."""


class FileKey(msgspec.Struct, frozen=True):
    """A key in a file."""

    path: str


class EnvKey(msgspec.Struct, frozen=True):
    """A key in an environment variable."""

    name: str


class TokenUri(msgspec.Struct, frozen=True):
    """A key on a PKCS#11 token (RFC 7512 section 2.3): which token, which object, which module, what PIN.

    What is ``None`` may be anything, as long as one key is left. ``pin_source`` is the path of a file; a
    command as the source of a PIN is refused.
    """

    token: str | None = None
    manufacturer: str | None = None
    serial: str | None = None
    model: str | None = None
    object: str | None = None
    id: bytes | None = None
    module_path: str | None = None
    pin_source: str | None = None
    pin_value: str | None = None

    def __repr__(self) -> str:
        """Without the PIN."""
        return f"TokenUri(token={self.token!r}, object={self.object!r}, id={self.id!r})"


def parse_key_uri(text: str) -> FileKey | EnvKey | TokenUri:
    """Where ``text`` says that the key is.

    Raises:
        KeyUriError: nowhere that we know.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        return FileKey(_path(text))
    rest = text[scheme.end() :]
    match scheme[1].lower():
        case "file":
            return FileKey(_path(rest))
        case "env" if _NAME.fullmatch(rest):
            return EnvKey(rest)
        case "env":
            raise KeyUriError("env: needs the name of an environment variable, such as env:RASURA_KEY")
        case "pkcs11":
            return _token(rest)
        case other:
            raise KeyUriError(
                f"keys of the kind {other!r} are not known here",
                hint="a path, file:PATH, env:NAME or pkcs11:… says where a key is",
            )


def _path(text: str) -> str:
    if text.startswith("//") and not text.startswith("///"):
        raise KeyUriError("a file: URI names no host: file:PATH, or file:///PATH")
    if not text or "\0" in text:
        raise KeyUriError("a key file needs a path")
    return text


def _token(text: str) -> TokenUri:
    path, _, query = text.partition("?")
    found = _attributes(path, ";", _PATH_ATTRIBUTES) | _attributes(query, "&", _QUERY_ATTRIBUTES)
    if found.pop("type", b"private") != b"private":
        raise KeyUriError("the pkcs11: URI names something else than a private key")
    if "pin-source" in found and "pin-value" in found:
        raise KeyUriError("a pkcs11: URI has a pin-source or a pin-value, not both")
    if not found.keys() & {"object", "id"}:
        raise KeyUriError(
            "a pkcs11: URI needs the object or the id of the key", hint="pkcs11:token=…;object=…"
        )
    identity = found.pop("id", None)
    texts = {name: _text(name, value) for name, value in found.items()}
    source = texts.get("pin-source")
    if source is not None:
        if source.startswith("|"):
            raise KeyUriError("a command as pin-source is not run: name a file")
        source = _path(source.removeprefix("file:"))
    return TokenUri(
        texts.get("token"),
        texts.get("manufacturer"),
        texts.get("serial"),
        texts.get("model"),
        texts.get("object"),
        identity,
        texts.get("module-path"),
        source,
        texts.get("pin-value"),
    )


def _attributes(text: str, separator: str, known: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            raise KeyUriError(f"the pkcs11: URI has {name[:40]!r}, which is not known here")
        if name in found:
            raise KeyUriError(f"the pkcs11: URI has {name!r} twice")
        if not _VALUE.fullmatch(value):
            raise KeyUriError(f"the {name} of the pkcs11: URI has characters that must be percent-encoded")
        found[name] = unquote_to_bytes(value)
    return found


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise KeyUriError(f"the {name} of the pkcs11: URI is empty or no text")
    return text
