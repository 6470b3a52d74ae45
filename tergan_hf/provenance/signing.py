"""Signing results with a certificate of one's own. Needs c2pa-python."""

import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from ..model.errors_tergan import InvalidInputError, MissingFileError, OutputFileError, shown_name
from ..model.provenance_tergan import encode_synthetic
from .manifest import load_c2pa, new_builder, sign_stream


CERTIFICATE_VARIABLE, KEY_VARIABLE = "TERGAN_C2PA_CERT", "TERGAN_C2PA_KEY"
TIMESTAMP_VARIABLE = "TERGAN_C2PA_TIMESTAMP_URL"
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


class ManifestSigner:
    """
    A certificate and its key, to sign C2PA manifests with.

    Args:
        certificate: PEM file with the chain: the signer's certificate, then those above it. C2PA refuses a certificate
            that signs itself.
        key: PEM file with the private key, without a passphrase: EC (P-256, P-384, P-521), RSA or Ed25519. Both may
            also be the text of the file.
        timestamp_url: of a time stamp authority (RFC 3161), which each signature then asks over the network. Without a
            time stamp, a signature holds as long as the certificate.

    Raises:
        MissingPackageError: c2pa-python is not installed.
        MissingFileError: there is no such file.
        InvalidInputError: certificate and key cannot be used.
    """

    def __init__(self, certificate: str | Path, key: str | Path, timestamp_url: str | None = None):
        self._c2pa = load_c2pa()
        name, self._chain = _read(certificate, "the certificate")
        key_name, secret = _read(key, "the key")
        self._names = f"{name} and {key_name}"
        self._algorithm, self._key = _check_pair(name, self._chain, key_name, secret)
        self._timestamp_url = timestamp_url or None
        self._try_out()

    def sign(
        self,
        source: BinaryIO,
        destination: BinaryIO,
        kind: str,
        parent: str | Path | None = None,
        inputs: str | Path | Sequence[str | Path] = (),
        name: str = "the result",
    ):
        """
        Copy a photo or clip with a signed manifest.

        Args:
            source: binary file to read. destination: empty binary file to write and read.
            kind: media type, such as `image/jpeg`.
            parent, inputs: as for `save_synthetic`.
            name: of the result, for messages.

        Raises:
            MissingFileError: an ingredient is not there.
            OutputFileError: the result cannot be signed or written.
        """
        inputs = [inputs] if isinstance(inputs, (str, Path)) else inputs
        builder = new_builder(Path(parent) if parent is not None else None, [Path(path) for path in inputs])
        with builder, self._new_signer(self._timestamp_url) as signer:
            sign_stream(builder, signer, kind, source, destination, name)

    def _new_signer(self, timestamp_url: str | None):
        info = self._c2pa.C2paSignerInfo(self._algorithm, self._chain, self._key, timestamp_url)
        return self._c2pa.Signer.from_info(info)

    def _try_out(self):
        """Sign a small picture, since only C2PA's library knows all of its rules for certificates."""
        picture = io.BytesIO(encode_synthetic(Image.new("RGB", (8, 8))))
        try:
            with new_builder(None, []) as builder, self._new_signer(None) as signer:
                sign_stream(builder, signer, "image/png", picture, io.BytesIO(), "a picture")
        except (self._c2pa.C2paError, OutputFileError) as error:
            raise InvalidInputError(f"C2PA does not accept {self._names} ({error})") from error


@cache
def environment_signer() -> ManifestSigner | None:
    """
    The signer that the environment names, or `None`. `TERGAN_C2PA_CERT` and `TERGAN_C2PA_KEY` are paths or, as secrets
    of a Space, the PEM text itself. `TERGAN_C2PA_TIMESTAMP_URL` is optional. They are read once.

    Raises:
        InvalidInputError: only one of the first two is set.
        MissingPackageError, MissingFileError, InvalidInputError: as `ManifestSigner`.
    """
    certificate, key = os.environ.get(CERTIFICATE_VARIABLE), os.environ.get(KEY_VARIABLE)
    if bool(certificate) != bool(key):
        raise InvalidInputError(f"{CERTIFICATE_VARIABLE} and {KEY_VARIABLE} go together: set both or none")
    if not certificate or not key:
        return None
    return ManifestSigner(certificate, key, timestamp_url())


def timestamp_url() -> str | None:
    """The time stamp authority that the environment names, or `None`."""
    return os.environ.get(TIMESTAMP_VARIABLE) or None


def _read(path: str | Path, what: str) -> tuple[str, bytes]:
    """Name and content of a PEM file, or of its text."""
    if isinstance(path, str) and path.lstrip().startswith("-----BEGIN "):
        return what, path.encode()
    try:
        return shown_name(path), Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"no such file: {shown_name(path)}") from error
    except OSError as error:
        raise MissingFileError(f"{shown_name(path)} cannot be read ({error.strerror})") from error


def _check_pair(name: str, chain: bytes, key_name: str, secret: bytes) -> tuple[str, bytes]:
    """The name that C2PA has for the algorithm of a key, and the key as PKCS #8."""
    # c2pa-python depends on it.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        own = x509.load_pem_x509_certificates(chain)[0]
    except ValueError as error:
        raise InvalidInputError(f"{name} holds no certificate in PEM format") from error
    try:
        private = serialization.load_pem_private_key(secret, password=None)
    except TypeError as error:
        raise InvalidInputError(
            f"{key_name} has a passphrase: write a copy without it (openssl pkey -in KEY -out PLAIN_KEY)"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInputError(f"{key_name} holds no private key in PEM format") from error
    public = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*public) != own.public_key().public_bytes(*public):
        raise InvalidInputError(
            f"{key_name} is not the key of the first certificate in {name}, which must be the signer's"
        )
    start, end = own.not_valid_before_utc, own.not_valid_after_utc
    if not start <= datetime.now(UTC) <= end:
        raise InvalidInputError(f"{name} is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}, not today")
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _algorithm(private, key_name), pem


def _algorithm(private: Any, name: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        return CURVES[private.curve.name]
    if isinstance(private, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise InvalidInputError(f"{name}: C2PA signs with EC keys (P-256, P-384, P-521), RSA or Ed25519")
