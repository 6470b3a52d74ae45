"""Check what a file claims about where it comes from, and whether its signature holds."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from ..model.errors_tergan import (
    ImageInputError,
    InvalidInputError,
    MissingFileError,
    MissingPackageError,
    shown_name,
)
from ..model.image_loading_tergan import read_image
from .manifest import PARENT, SETTINGS, load_c2pa
from .metadata import SYNTHETIC_SOURCE_TYPES, MetadataClaims, read_metadata
from .watermark import Watermark


UNTRUSTED = "signingCredential.untrusted"
# The validation codes of the C2PA specification in plain words.
PROBLEMS = {
    "assertion.dataHash.mismatch": "the file was changed after it was signed",
    "assertion.bmffHash.mismatch": "the file was changed after it was signed",
    "assertion.boxesHash.mismatch": "the file was changed after it was signed",
    "assertion.hashedURI.mismatch": "the manifest was changed after it was signed",
    "claimSignature.mismatch": "the signature does not belong to the manifest",
    "claimSignature.outsideValidity": "the certificate was not valid when the file was signed",
    "signingCredential.expired": "the certificate has expired",
    "signingCredential.invalid": "the certificate does not follow the rules of C2PA",
    "signingCredential.ocsp.revoked": "the certificate was revoked",
    "ingredient.manifest.mismatch": "the manifest of an ingredient was changed",
    UNTRUSTED: "the signer is not on the trust list",
}


@dataclass
class IngredientClaims:
    """
    A file that a signed file was made of.

    Args:
        relationship: `parentOf` if it was changed, `inputTo` if it only showed the expression, or another one of C2PA.
        media_type: such as `image/jpeg`. title: of the file.
        signer: of its own manifest; `None` without one.
        problems: what did not hold of its manifest when the file was made.
    """

    relationship: str
    media_type: str | None
    title: str | None
    signer: str | None = None
    problems: list[str] = field(default_factory=list)


@dataclass
class ManifestClaims:
    """
    The C2PA manifest of a file.

    Args:
        signer: name and organisation in the certificate. generator: the program that wrote the manifest.
        signed_at: by the time stamp, `None` without one.
        actions: what was done, with IPTC's digital source type in brackets.
        ingredients: what the file was made of, the one that was changed first.
        problems: why the signature does not hold; empty if it holds.
        trusted: whether the certificate leads to one of the trust list; `None` if no list was given.
    """

    signer: str | None = None
    generator: str | None = None
    signed_at: str | None = None
    actions: list[str] = field(default_factory=list)
    ingredients: list[IngredientClaims] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    trusted: bool | None = None


@dataclass
class Provenance:
    """
    What a file claims about where it comes from.

    Args:
        file: the path. metadata: what anybody can write and remove.
        manifest: the C2PA manifest; `None` without one.
        note: why no manifest could be read.
        watermark: whether the picture has the invisible mark; `None` if nobody looked, or if the file is
            no readable picture.
    """

    file: str
    metadata: MetadataClaims
    manifest: ManifestClaims | None = None
    note: str | None = None
    watermark: bool | None = None

    @property
    def holds(self) -> bool:
        """Whether the file has a C2PA manifest, its signature holds and, if a trust list was given, the signer is on
        it."""
        return self.manifest is not None and not self.manifest.problems


def verify_file(path: str | Path, trust: bytes | None = None, watermark: Watermark | None = None) -> Provenance:
    """
    Check what a photo or clip claims. Nothing is fetched over the network.

    Args:
        path: the file.
        trust: PEM certificates; the signer's certificate must lead to one of them.
        watermark: look for the invisible mark.

    Raises:
        MissingFileError: there is no such file.
        InvalidInputError: `trust` holds no certificate.
    """
    path, name = Path(path), shown_name(path)
    try:
        provenance = Provenance(name, read_metadata(path))
    except OSError as error:
        raise MissingFileError(f"{name} cannot be read ({error.strerror})") from error
    if watermark is not None:
        with suppress(ImageInputError):  # a clip, or damaged
            provenance.watermark = watermark.is_in(read_image(path, name))
    try:
        c2pa = load_c2pa()
    except MissingPackageError as error:
        provenance.note = f"not checked: {error}"
        return provenance
    if trust is not None:
        _check_trust_list(trust)
    settings = SETTINGS if trust is None else {**SETTINGS, "trust": {"user_anchors": trust.decode()}}
    _read_manifest(c2pa, path, settings, provenance)
    return provenance


def _read_manifest(c2pa: ModuleType, path: Path, settings: dict, provenance: Provenance):
    try:
        with open(path, "rb") as file:
            reader = c2pa.Reader.try_create(file, context=c2pa.Context.from_dict(settings))
            if reader is None:
                return
            with reader:
                active, state = reader.get_active_manifest() or {}, reader.get_validation_state()
                results = reader.get_validation_results() or {}
                inner = {label: reader.get_manifest(label) for label in _labels(active)}
    except c2pa.C2paError.NotSupported:
        provenance.note = "this kind of file holds none"
    except c2pa.C2paError as error:
        if str(error).startswith("Remote"):
            provenance.note = f"not in the file, and not fetched ({error})"
        else:
            provenance.manifest = ManifestClaims(problems=[f"the manifest is damaged ({error})"])
    else:
        provenance.manifest = _manifest_claims(active, inner, results, state, "trust" in settings)


def _check_trust_list(trust: bytes):
    from cryptography import x509

    try:
        x509.load_pem_x509_certificates(trust)
    except ValueError as error:
        raise InvalidInputError("the trust list holds no certificate in PEM format") from error


def _labels(manifest: dict) -> list[str]:
    """Labels of the manifests of a manifest's ingredients."""
    found = (ingredient.get("active_manifest") for ingredient in manifest.get("ingredients", []))
    return [label for label in found if label]


def _manifest_claims(
    active: dict, inner: dict, results: dict, state: str | None, has_trust_list: bool
) -> ManifestClaims:
    codes = _failures(results.get("activeManifest", {}))
    trusted = UNTRUSTED not in [code for code, _ in codes] if has_trust_list else None
    for delta in results.get("ingredientDeltas") or []:
        codes += _without_trust(_failures(delta.get("validationDeltas", {})))
    problems = _problems(codes if has_trust_list else _without_trust(codes))
    if state not in ("Valid", "Trusted") and not problems:
        problems = ["the manifest is not valid"]
    signature = active.get("signature_info") or {}
    ingredients = [_ingredient(entry, inner) for entry in active.get("ingredients", [])]
    ingredients.sort(key=lambda ingredient: ingredient.relationship != PARENT)
    program = (active.get("claim_generator_info") or [{}])[0]
    return ManifestClaims(
        signer=_signer(active), generator=" ".join(str(program[key]) for key in ("name", "version") if key in program),
        signed_at=signature.get("time"), actions=list(_actions(active)),
        ingredients=ingredients, problems=problems,
        trusted=trusted,
    )  # fmt: skip


def _failures(results: dict) -> list[tuple[str, str]]:
    return [(entry.get("code", ""), entry.get("explanation", "")) for entry in results.get("failure") or []]


def _without_trust(codes: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [entry for entry in codes if entry[0] != UNTRUSTED]


def _problems(codes: list[tuple[str, str]]) -> list[str]:
    """Sentences for failed checks, each once."""
    return list(dict.fromkeys(PROBLEMS.get(code) or f"{explanation} ({code})" for code, explanation in codes))


def _signer(manifest: dict) -> str | None:
    signature = manifest.get("signature_info") or {}
    name, organisation = signature.get("common_name"), signature.get("issuer")
    if name and organisation and name != organisation:
        return f"{name} ({organisation})"
    return name or organisation


def _actions(manifest: dict) -> Iterator[str]:
    for assertion in manifest.get("assertions", []):
        if not assertion.get("label", "").startswith("c2pa.actions"):
            continue
        for action in assertion.get("data", {}).get("actions", []):
            text = str(action.get("action", "")).removeprefix("c2pa.")
            if action.get("digitalSourceType"):
                term = str(action["digitalSourceType"]).rpartition("/")[2]
                text += f" [{SYNTHETIC_SOURCE_TYPES.get(term, term)}]"
            if action.get("description"):
                text += f": {action['description']}"
            yield text


def _ingredient(entry: dict, inner: dict) -> IngredientClaims:
    label = entry.get("active_manifest")
    results = (entry.get("validation_results") or {}).get("activeManifest", {})
    codes = _without_trust(_failures(results))
    return IngredientClaims(
        entry.get("relationship", ""), entry.get("format"), entry.get("title"),
        (_signer(inner.get(label) or {}) or "an unnamed signer") if label else None, _problems(codes),
    )  # fmt: skip
