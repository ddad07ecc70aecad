"""Root store URLs → root stores. What a store needs beyond the standard install is imported here, late.

    (empty) or files:                 files in the root directory
    files:///DIR                      files in another directory
    aws-kms:imported?region=R&cell=C[&endpoint=URL]
    aws-kms:generated?region=R&cell=C[&days=7…30][&endpoint=URL]
    pkcs11:?module=FILE&token=LABEL&cell=C[&pin-file=FILE]

No secret stands in a URL: AWS credentials are found by its SDK, a token's PIN in a file or in the
environment.
"""

from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from tenure.errors import Invalid
from tenure.keys.rootstore import RootStore
from tenure.rootstore.files import FilesRootStore
from tenure.rootstore.handover import Handover
from tenure.rootstore.kms_notes import Mode, check_cell

CURRENT: Final = "TENURE_ROOT_STORE"
PREVIOUS: Final = "TENURE_ROOT_STORE_PREVIOUS"
_FORMS: Final = "files:, files:///DIR, aws-kms:imported?…, aws-kms:generated?… or pkcs11:?…"
_DAYS: Final = range(7, 31)


def open_root_stores(url: str, previous: str, default_dir: Path) -> RootStore:
    """The store of `url`; a hand-over from the store of `previous` when that is not empty.

    Raises Invalid naming setting, rule and remedy. Nothing is asked of a store yet.
    """
    new = open_root_store(url, default_dir)
    if not previous:
        return new
    if (url or "files:") == previous:
        raise Invalid(
            "Both root store settings name the same store; nothing was opened.",
            field=PREVIOUS,
            rule=f"another store than {CURRENT}",
            remedy=f"Set {PREVIOUS} to where the root key was until now, or leave it out.",
        )
    return Handover(open_root_store(previous, default_dir, PREVIOUS), new)


def open_root_store(url: str, default_dir: Path, field: str = CURRENT) -> RootStore:
    """The root store of a URL. Raises Invalid naming `field`, rule and remedy."""
    scheme, _, rest = (url or "files:").partition(":")
    if scheme == "files":
        return FilesRootStore(_directory(rest, default_dir, field))
    kind, _, query = rest.partition("?")
    if scheme == "aws-kms" and kind in ("imported", "generated"):
        return _kms("imported" if kind == "imported" else "generated", _Query(query, field))
    if scheme == "pkcs11" and not kind:
        return _pkcs11(_Query(query, field), default_dir.parent / "pkcs11.lock")
    raise Invalid(
        f"{field} names a kind of root store that this version does not know; nothing was opened.",
        field=field,
        rule=_FORMS,
        remedy="Correct it; docs/rootstores.md has an example of each.",
    )


def root_files(url: str, default_dir: Path) -> Path | None:
    """The directory of a files store; None for any other kind of URL."""
    scheme, _, rest = (url or "files:").partition(":")
    return _directory(rest, default_dir, CURRENT) if scheme == "files" else None


def _directory(rest: str, default_dir: Path, field: str) -> Path:
    if not rest:
        return default_dir
    if rest.startswith("///"):
        return Path(rest.removeprefix("//"))
    raise _wrong(field, "files:///absolute/directory, or files: for the root directory")


def _kms(mode: Mode, given: "_Query") -> RootStore:
    region, cell = given.needed("region"), check_cell(given.needed("cell"), given.field)
    endpoint = given.optional("endpoint")
    days = given.optional("days") if mode == "generated" else ""
    given.end()
    if days and not (days.isdecimal() and int(days) in _DAYS):
        raise _wrong(given.field, f"days from {_DAYS[0]} to {_DAYS[-1]}")
    try:
        import boto3  # noqa: PLC0415 - an extra of its own
        from botocore.config import Config  # noqa: PLC0415

        from tenure.rootstore.kms import KmsRootStore  # noqa: PLC0415
        from tenure.rootstore.kms_calls import KmsCalls  # noqa: PLC0415
    except ImportError:
        raise _not_installed(given.field, "AWS KMS", "aws") from None
    config = Config(
        connect_timeout=3,
        read_timeout=10,
        retries={"mode": "adaptive", "total_max_attempts": 6},
    )
    client = boto3.client("kms", region_name=region, endpoint_url=endpoint or None, config=config)
    return KmsRootStore(KmsCalls(client), cell, mode, days=int(days or _DAYS[0]))


def _pkcs11(given: "_Query", lock: Path) -> RootStore:
    for name in ("pin", "pin-value", "user-pin"):
        if given.optional(name):
            raise Invalid(
                f"{given.field} has a PIN in it; nothing was opened.",
                field=given.field,
                rule="no secret in a URL",
                remedy="Change that PIN; then give it by TENURE_PKCS11_PIN, or by pin-file=FILE.",
            )
    module, token = given.needed("module"), given.needed("token")
    cell, pin_file = check_cell(given.needed("cell"), given.field), given.optional("pin-file")
    given.end()
    try:
        from tenure.rootstore.pkcs11 import Pkcs11RootStore, Token  # noqa: PLC0415 - an extra of its own
    except ImportError:
        raise _not_installed(given.field, "PKCS#11", "pkcs11") from None
    return Pkcs11RootStore(Token(module, token, lock, Path(pin_file) if pin_file else None), cell)


class _Query:
    """The parameters of a URL: each is taken once, and none may be left over."""

    def __init__(self, query: str, field: str) -> None:
        self.field = field
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError:
            raise _wrong(field, "parameters as name=value&name=value") from None
        self._left = dict(pairs)
        if len(self._left) != len(pairs):
            raise _wrong(field, "each parameter once")

    def needed(self, name: str) -> str:
        value = self._left.pop(name, "")
        if not value:
            raise _wrong(self.field, f"a parameter {name}=…")
        return value

    def optional(self, name: str) -> str:
        return self._left.pop(name, "")

    def end(self) -> None:
        if self._left:
            raise _wrong(self.field, f"no parameter {min(self._left)[:40]} for this kind of store")


def _wrong(field: str, rule: str) -> Invalid:
    return Invalid(
        f"{field} cannot be used as it is; nothing was opened.",
        field=field,
        rule=rule,
        remedy="Correct it; docs/rootstores.md has an example of each kind.",
    )


def _not_installed(field: str, what: str, extra: str) -> Invalid:
    return Invalid(
        f"Support for {what} is not installed; nothing was opened.",
        field=field,
        rule=f"tenure[{extra}] present",
        remedy=f"Install it: pip install 'tenure[server,{extra}]'.",
    )
