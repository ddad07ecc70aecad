"""Settings: environment variables `TENURE_*`, overridden by command-line options of the same names."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_MOST = 10**15


class Settings(BaseSettings):
    """One cell's configuration. Every default runs embedded: SQLite and files, no service."""

    model_config = SettingsConfigDict(env_prefix="TENURE_", extra="ignore", frozen=True)

    data_dir: Path = Path("tenure-data")
    """Database and objects. Nothing of the root store."""
    root_dir: Path = Path("tenure-root")
    """Root key, and the mirror. Keep it out of the data's backups."""
    root_store: str = ""
    """Empty: files in the root directory. Otherwise aws-kms:… or pkcs11:… (`docs/rootstores.md`)"""
    root_store_previous: str = ""
    """Where the root key was until now, while it moves; `files:` names the default."""
    database_url: str = ""
    """Empty: SQLite in the data directory. Otherwise postgresql://…"""
    migration_url: str = ""
    """PostgreSQL only: the owner of the tables, for `tenure init`. Empty: the same as the database URL."""
    backup_url: str = ""
    """PostgreSQL only: a role that sees every row, for backups and drills. Empty: the migration URL."""
    pg_bin: str = ""
    """PostgreSQL only: the folder of `pg_dump` and `pg_restore`. Empty: found on PATH."""
    objects_url: str = ""
    """Empty: files in the data directory. Otherwise file:///… or s3://bucket/prefix"""
    mirror_url: str = ""
    """Empty: files in the root directory. Otherwise file:///… or s3://bucket/prefix"""
    s3_endpoint: Annotated[str, Field(pattern=r"^(https?://[^@\s]+)?$")] = ""
    """URL of the S3 server for s3:// places. Empty: AWS's own."""
    cold_class: str = "STANDARD_IA"
    """The storage class that a bucket's rules move packs to first (`docs/lifecycle.md`). Empty: none."""
    archive_class: str = "GLACIER"
    """The storage class that is the archive. Empty: nothing is archived."""
    object_lock: Annotated[str, Field(pattern="^(governance|compliance)?$")] = ""
    """How published logs and packs in a bucket are locked (`docs/lifecycle.md`). Empty: not at all."""
    object_lock_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """For how many days, packs no longer than they live. There is no default: a lock cannot be taken back."""
    prices: str = ""
    """What storage costs: a JSON object or a file with one (`docs/storage.md`). Empty: bytes only."""
    ledger_origin: Annotated[str, Field(pattern=r"^[a-z0-9.-]+(/[a-z0-9._-]+)*$")] = "tenure.localhost"
    """First part of every log's origin line; a host name that you own."""

    witnesses: str = ""
    """A file that names the witnesses who cosign the logs (`docs/witness.md`). Empty: none."""

    tsa_url: str = ""
    """A time stamping authority (RFC 3161) for the cell's log. Empty: none."""
    tsa_certs: str = ""
    """A file with the certificates (PEM) that the authority is believed under."""
    tsa_interval_s: Annotated[float, Field(ge=60, le=2_678_400)] = 3600.0
    """How often the newest checkpoint of the cell's log is stamped."""

    local_issuers: bool = False
    """Whether a tenant may name an issuer of access tokens on this machine: its keys are asked for at ports
    that nobody outside may reach."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8420
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = 1 << 20
    shred_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 1.0
    """How often waiting erasures are gathered into one batch. 0: as soon as they are asked for."""
    shred_batch_size: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """How many erasures one batch takes at most; the rest waits for the next, which follows at once."""
    rederive_interval_s: Annotated[float, Field(gt=0, le=86_400)] = 5.0
    """How often it is looked whether applications are to be asked to derive something again."""
    rights_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 2.0
    """How often it is looked what is to be done about rights requests. 0: never, and none is carried out."""
    notice_interval_s: Annotated[float, Field(gt=0, le=86_400)] = 5.0
    """How often it is looked whether a notice to a recipient is due (`docs/notices.md`)."""
    evict_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 3600.0
    """How often it is looked for what has had its time; 0: never, and nothing goes by itself."""
    inspect_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    """How often a part of what is stored is compared with what was written. 0: never."""
    storage_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 3600.0
    """How often it is looked who was not counted today: each tenant's storage is, once a day. 0: never."""
    tier_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 3600.0
    """How often it is looked what goes from the database to packs (`docs/lifecycle.md`). 0: never."""
    retrieval_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    """How often it is looked whether an archive gave out what it was asked for. 0: never."""
    package_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    """How often it is looked which access packages have had their time. 0: never."""
    lifecycle_interval_s: Annotated[float, Field(ge=0, le=2_678_400)] = 0.0
    """How often drift of the bucket's lifecycle rules is repaired. 0: the operator applies them."""
    tier_mb_s: Annotated[float, Field(gt=0, le=10_000)] = 50.0
    """Megabytes (2^20) that are moved to packs in a second, at most."""
    tier_pack_mb: Annotated[int, Field(ge=1, le=64)] = 8
    """Megabytes of content in one pack, at most; a version that has more gets a pack of its own."""
    cell_jobs: bool = True
    """Whether this process may run what one does for the whole cell. It carries out erasures in any case."""
    replica_lease_s: Annotated[float, Field(ge=1, le=300)] = 10.0
    """PostgreSQL: for how long a silent process is waited for before an erasure goes on without it."""
    lanes: Annotated[int, Field(ge=1, le=64)] = 4
    """Transactions this process may have under way at once (SQLite always has one)."""
    max_waiting: Annotated[int, Field(ge=1, le=100_000)] = 1_024
    """Operations of one tenant that may wait for the database in this process; the next gets a 503."""
    max_backlog: Annotated[int, Field(ge=1_000, le=100_000_000)] = 100_000
    """Committed ledger entries of one tenant that may wait for their place or for publication: beyond it,
    the tenant's operations are refused until the log has caught up."""
    limit_requests: Annotated[int, Field(ge=0, le=_MOST)] = 10_000
    """Requests a second of one tenant that has no limits of its own. 0, here and below: no limit."""
    limit_bytes: Annotated[int, Field(ge=0, le=_MOST)] = 256 << 20
    """Bytes of its requests and answers a second."""
    limit_records: Annotated[int, Field(ge=0, le=_MOST)] = 50_000
    """Records that it reads or writes a second: a list of 200 counts 200."""
    limit_burst_s: Annotated[int, Field(ge=1, le=60)] = 2
    """Of how many seconds these may be taken at once."""
    limit_concurrent: Annotated[int, Field(ge=0, le=_MOST)] = 512
    """Its requests that may be under way at once: fewer than may wait, so that what governs finds a place."""
    limit_stored_versions: Annotated[int, Field(ge=0, le=_MOST)] = 0
    """Versions that one tenant may store."""
    limit_stored_bytes: Annotated[int, Field(ge=0, le=_MOST)] = 0
    """Bytes of ciphertext that one tenant may store."""
    limit_strangers: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    """Attempts a second from one address that prove no credential."""
    limit_reserve: Annotated[int, Field(ge=0, le=1_000_000)] = 200
    """Governing calls a second of one credential: an allowance apart from the others."""
    trusted_proxies: str = ""
    """Networks of proxies whose X-Forwarded-For is believed, separated by commas. Empty: none."""
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"

    @property
    def root_keys(self) -> Path:
        """Where the files root store is by default."""
        return self.root_dir / "keys"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'tenure.db'}"
