"""Certificates made for the tests: a root, and a signer below it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


DAY = timedelta(days=1)
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip
KEYS = {
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ec-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ec-k1": lambda: ec.generate_private_key(ec.SECP256K1()),
}


def write_certificates(
    folder: Path, name: str = "Jane Tester", kind: str = "ec", last_day: int = 30, passphrase: bytes | None = None
) -> tuple[Path, Path, Path]:
    """
    Write a chain, the signer's key and the root.

    Args:
        name: of the signer; may hold any characters. kind: of the key, one of `KEYS`.
        last_day: of the signer's certificate, in days from now. passphrase: of the key.

    Returns:
        paths of the chain, the key and the root.
    """
    folder.mkdir(exist_ok=True, parents=True)
    root_key, key = KEYS["ec"](), KEYS[kind]()
    root = _certify("Test Root", root_key, "Test Root", root_key, ("key_cert_sign", "crl_sign"), 365)
    signer = _certify(name, key, "Test Root", root_key, ("digital_signature",), last_day)
    protection = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    contents = {
        "chain.pem": signer.public_bytes(pem) + root.public_bytes(pem),
        "key.pem": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, protection),
        "root.pem": root.public_bytes(pem),
    }
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    chain, key_path, root_path = (folder / file for file in contents)
    return chain, key_path, root_path


def _certify(name: str, key, issuer: str, issuer_key, usages: tuple[str, ...], last_day: int) -> x509.Certificate:
    is_root = key is issuer_key
    public, now = key.public_key(), datetime.now(UTC)
    first, last = now - 60 * DAY, now + last_day * DAY
    builder = x509.CertificateBuilder(
        issuer_name=_named(issuer), subject_name=_named(name), public_key=public,
        serial_number=x509.random_serial_number(), not_valid_before=first, not_valid_after=last,
    )  # fmt: skip
    builder = builder.add_extension(x509.BasicConstraints(is_root, None), True)
    builder = builder.add_extension(x509.KeyUsage(**{usage: usage in usages for usage in USAGES}), True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    if not is_root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return builder.sign(issuer_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test Studio"),
        ]
    )
