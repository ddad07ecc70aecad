"""Every table, in one place. Each primary key and each index starts with `tenant_id`.

Rows that belong to the cell itself carry the tenant id `ids.CELL`. Instants are microseconds (see
`ids`). A column named `sealed_*`, `header`, `head` or `content` holds ciphertext; `*_index` holds a keyed
blind index. Nothing else here says anything about a person.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    and_,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite keeps the canonical text; PostgreSQL its native type, read and written as that text.
Id = Uuid(as_uuid=False).with_variant(Text(), "sqlite")
# Machine text is compared by bytes, whatever the database's locale says.
Token = Text(collation="C").with_variant(Text(), "sqlite")
Instant = BigInteger()


def _table(name: str, *columns: Column[object] | Index | ForeignKeyConstraint) -> Table:
    return Table(name, metadata, Column("tenant_id", Id, primary_key=True), *columns)


# ── the cell ──────────────────────────────────────────────────────────────────────────────────────
tenants = _table(
    "tenants",
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)
key_pointer = _table(
    "key_pointer",
    Column("seq", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)
key_manifests = _table(
    "key_manifests",
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
    Column("blob", LargeBinary, nullable=False),
)
key_batches = _table(
    "key_batches",
    Column("op_id", Id, primary_key=True),
    Column("plan", Text, nullable=False),
    Column("state", Token, nullable=False),
    Column("created_at", Instant, nullable=False),
)

# Processes that serve this cell, and which one of them erases (`store.replicas`).
replicas = _table(
    "replicas",
    Column("id", Id, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("lease_until", Instant, nullable=False),
)
coordinator = _table(
    "coordinator",
    Column("replica_id", Id, nullable=False),
    Column("term", BigInteger, nullable=False),
)
# Jobs of the cell: how each went last, and which process runs it now (`store.jobs`).
jobs = _table(
    "jobs",
    Column("name", Token, primary_key=True),
    Column("every_us", BigInteger, nullable=False),
    Column("runs", BigInteger, nullable=False),  # begun so far; the last one's number
    Column("failures", BigInteger, nullable=False),  # in a row
    Column("holder", Token),  # a process's tag
    Column("lease_until", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("succeeded_at", Instant),
    Column("outcome", Token),
    Column("error", Token),  # the kind of a failure
    Column("duration_us", BigInteger),
    Column("counts", Text, nullable=False),  # JSON: names of ours → numbers
)
# Tenants in which somebody waits for the next batch of erasures.
shred_queue = _table("shred_queue", Column("id", Id, primary_key=True))

# Which tenant a pair of issuer and audience leads to: never two. The cell's rows.
issuer_claims = _table(
    "issuer_claims",
    Column("claim", Token, primary_key=True),  # SHA-256 of issuer and audience
    Column("id", Id, nullable=False),  # the tenant
    Column("issuer_id", Id, nullable=False),
    Index("ix_issuer_claims_id", "tenant_id", "id"),
)

# ── one tenant ────────────────────────────────────────────────────────────────────────────────────
tenant_state = _table(
    "tenant_state",
    # A change to who may act, what policy says or which keys live raises its epoch; every
    # transaction reads this row first, so a cache is never older than the transaction that uses it.
    Column("principal_epoch", BigInteger, nullable=False),
    Column("policy_epoch", BigInteger, nullable=False),
    Column("key_epoch", BigInteger, nullable=False),
    # From when on accesses to records are all kept, where a rule counts from them; 0: since there are any.
    Column("access_since", Instant, nullable=False),
)
leaf_sequences = _table(
    "leaf_sequences",
    Column("epoch", SmallInteger, nullable=False),
    Column("next", BigInteger, nullable=False),
)
key_shards = _table(
    "key_shards",
    Column("depth", SmallInteger, primary_key=True, autoincrement=False),
    Column("prefix", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("blob", LargeBinary, nullable=False),
)
principals = _table(
    "principals",
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Token, nullable=False),
    Column("roles", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Index("ix_principals_name", "tenant_id", "name", unique=True),
)
credentials = _table(
    "credentials",
    Column("id", Id, primary_key=True),
    Column("principal_id", Id, nullable=False),
    Column("secret_hash", Token, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("expires_at", Instant),
    Column("reach", Text),  # what it is narrowed to; null: nothing
    Index("ix_credentials_secret", "tenant_id", "secret_hash", unique=True),
)
# What is declared of the tenant (`id` is its own) and of its credentials; null: not declared, 0: no limit.
limits = _table(
    "limits",
    Column("id", Id, primary_key=True),
    Column("requests", BigInteger),
    Column("bytes", BigInteger),
    Column("records", BigInteger),
    Column("burst_s", BigInteger),
    Column("concurrent", BigInteger),
    Column("stored_versions", BigInteger),
    Column("stored_bytes", BigInteger),
)
# How much is stored, in parts that are summed up: so that lanes that count do not wait for each other.
usage = _table(
    "usage",
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("versions", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)
# How much was stored on a day, by scope and tier; scope '' is all of them, and so are the cell's own rows.
storage_samples = _table(
    "storage_samples",
    Column("day", Integer, primary_key=True, autoincrement=False),  # UTC days since 1970
    Column("scope", Token, primary_key=True),
    Column("tier", Token, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("versions", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("written_versions", BigInteger, nullable=False),  # of these, on the day before
    Column("written_bytes", BigInteger, nullable=False),
)
# The newest count in full (`model.layers`): by scope, labels, tier, day of writing and day of expiry.
storage_layers = _table(
    "storage_layers",
    Column("at", Instant, nullable=False),
    Column("body", Text, nullable=False),  # JSON
)
# What was asked of the object store for the tenant's packs on a day; the cell's own rows are of all tenants.
object_requests = _table(
    "object_requests",
    Column("day", Integer, primary_key=True, autoincrement=False),  # UTC days since 1970
    Column("tier", Token, primary_key=True),
    Column("puts", BigInteger, nullable=False),
    Column("gets", BigInteger, nullable=False),
    Column("restores", BigInteger, nullable=False),
    Column("retrieved", BigInteger, nullable=False),  # bytes
)
# Whose access tokens are taken (ADR 23). A row never changes: another configuration is another id.
issuers = _table(
    "issuers",
    Column("id", Id, primary_key=True),
    Column("name", Token, nullable=False),
    Column("url", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("ix_issuers_name", "tenant_id", "name", unique=True),
)
# Who a subject of an issuer is here. What issuers call people is not kept in the clear.
identities = _table(
    "identities",
    Column("subject_index", Token, primary_key=True),
    Column("principal_id", Id, nullable=False),
    Column("created_at", Instant, nullable=False),
)
manifests = _table(
    "manifests",
    Column("kind", Token, primary_key=True),
    Column("name", Token, primary_key=True),
    Column("spec", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("applied_at", Instant, nullable=False),
    Column("applied_in", BigInteger),  # the configuration's generation; null from before there were any
)
# Each apply or rollback that changed something: a generation of the tenant's whole configuration.
configurations = _table(
    "configurations",
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("principal_id", Id, nullable=False),
    Column("entry", Token, nullable=False),
    Column("digest", Token, nullable=False),  # of the policy bundle, which holds all manifests
    Column("changes", Text, nullable=False),  # [[kind, name, change], …]
    Column("restored", BigInteger),  # the generation whose content came back
)
policy_bundles = _table(
    "policy_bundles",
    Column("digest", Token, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)
# Elevations to roles for emergencies (`model.breakglass`). A leaf of its own opens reason and note.
breakglass = _table(
    "breakglass",
    Column("id", Id, primary_key=True),
    Column("principal_id", Id, nullable=False),
    Column("role", Token, nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("state", Token, nullable=False),  # requested, refused, active, ended, reviewed
    Column("requested_at", Instant, nullable=False),
    Column("leaf", BigInteger, nullable=False),
    Column("header", LargeBinary, nullable=False),
    Column("sealed_reason", LargeBinary, nullable=False),
    Column("decided_by", Id),
    Column("decided_at", Instant),
    Column("ends_at", Instant),
    Column("review_due", Instant),
    Column("ended_by", Id),
    Column("ended_at", Instant),
    Column("reviewed_by", Id),
    Column("reviewed_at", Instant),
    Column("outcome", Token),
    Column("note_header", LargeBinary),
    Column("sealed_note", LargeBinary),
    Index("ix_breakglass_state", "tenant_id", "state", "id"),
    Index("ix_breakglass_principal", "tenant_id", "principal_id"),
)
# When a review is due in some tenant. The cell's rows.
breakglass_queue = _table(
    "breakglass_queue",
    Column("id", Id, primary_key=True),
    Column("owner_id", Id, nullable=False),  # the tenant
    Column("due_at", Instant, nullable=False),
    Index("ix_breakglass_queue_due", "tenant_id", "due_at"),
)
idempotency = _table(
    "idempotency",
    Column("principal_id", Id, primary_key=True),
    Column("key_hash", Token, primary_key=True),
    Column("payload_hash", Token, nullable=False),
    Column("result", Text, nullable=False),  # ids only, never content
    Column("created_at", Instant, nullable=False),
)

# ── people and their context ──────────────────────────────────────────────────────────────────────
subjects = _table(
    "subjects",
    Column("id", Id, primary_key=True),
    Column("leaf", BigInteger, nullable=False),
    Column("ref_index", Token),  # null once erased: a returning person is a new subject
    Column("bucket", SmallInteger),  # through which it is found; null once erased
    Column("ref_header", LargeBinary),
    Column("sealed_ref", LargeBinary),
    Column("state", Token, nullable=False),  # active, erasing, erased
    Column("shred_id", Id),
    Column("created_at", Instant, nullable=False),
    Index("ix_subjects_ref", "tenant_id", "ref_index", unique=True),
    Index("ix_subjects_leaf", "tenant_id", "leaf", unique=True),
    Index("ix_subjects_bucket", "tenant_id", "bucket"),
)
bucket_leaves = _table(
    "bucket_leaves",
    Column("bucket", SmallInteger, primary_key=True, autoincrement=False),
    Column("leaf", BigInteger, nullable=False),
)
scope_leaves = _table(
    "scope_leaves",
    Column("scope", Token, primary_key=True),
    Column("leaf", BigInteger, nullable=False),
)
# Versions that go together share a leaf (`model.cohorts`). Kept when they are over: who went with which leaf.
cohorts = _table(
    "cohorts",
    Column("id", Id, primary_key=True),
    Column("anchor", Token, nullable=False),
    Column("leaf", BigInteger, nullable=False),
    Column("state", Token, nullable=False),  # open, kept, ending, over
    Column("shred_id", Id),
    Column("seal", Token, nullable=False),
    Index("ix_cohorts_anchor", "tenant_id", "anchor", unique=True),
    Index("ix_cohorts_leaf", "tenant_id", "leaf", unique=True),
    Index("ix_cohorts_state", "tenant_id", "state", "id"),
)
records = _table(
    "records",
    Column("id", Id, primary_key=True),
    Column("scope", Token, nullable=False),
    Column("key_index", Token, nullable=False),
    Column("latest", BigInteger, nullable=False),
    Column("labels", Token, nullable=False),  # of the latest version: sorted categories, comma-joined
    Column("state", Token, nullable=False),  # of the latest version: live, deleted, erased
    Column("updated_at", Instant, nullable=False),
    # Its last access, where a rule counts from that, put at most once a day; and the entry of that access.
    Column("accessed_at", Instant),
    Column("accessed_entry", Token),
    Index("ix_records_key", "tenant_id", "key_index", unique=True),
    Index("ix_records_scope", "tenant_id", "scope", "state", "id"),
)
# Where records are filed (`tenure.filing`): a row for each path that leads to a record, by blind index.
record_paths = _table(
    "record_paths",
    Column("path_index", Token, primary_key=True),
    Column("record_id", Id, primary_key=True),
    Column("seal", Token, nullable=False),
)
label_sets = _table(
    "label_sets",
    Column("scope", Token, primary_key=True),
    Column("labels", Token, primary_key=True),
)
versions = _table(
    "versions",
    Column("record_id", Id, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Id, nullable=False),
    Column("scope", Token, nullable=False),
    Column("labels", Token, nullable=False),
    Column("state", Token, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("principal_id", Id, nullable=False),
    Column("entry", Token, nullable=False),
    Column("header", LargeBinary),
    Column("head", LargeBinary),
    Column("content", LargeBinary),
    Column("segments", SmallInteger),  # how many the content has; null when it is one
    Column("shred_id", Id),
    Column("cohort", BigInteger),  # its cohort's leaf; null for tombstones, and from before there were any
    # Where the content lies if it is in a pack: all four or none (`store.packs`).
    Column("pack_id", Id),
    Column("pack_offset", BigInteger),
    Column("pack_length", BigInteger),
    Column("pack_sha256", LargeBinary),
    Index("ix_versions_id", "tenant_id", "id", unique=True),
)
Index(
    "ix_versions_cohort",
    versions.c.tenant_id,
    versions.c.cohort,
    versions.c.record_id,
    versions.c.version,
    postgresql_where=versions.c.state == "live",
    sqlite_where=versions.c.state == "live",
)
Index(
    "ix_versions_hot",
    versions.c.tenant_id,
    versions.c.scope,
    versions.c.labels,
    versions.c.created_at,
    postgresql_where=and_(versions.c.header.is_not(None), versions.c.pack_id.is_(None)),
    sqlite_where=and_(versions.c.header.is_not(None), versions.c.pack_id.is_(None)),
)
Index(
    "ix_versions_pack",
    versions.c.tenant_id,
    versions.c.pack_id,
    postgresql_where=versions.c.pack_id.is_not(None),
    sqlite_where=versions.c.pack_id.is_not(None),
)
# Objects in which contents lie together (`store.packs`).
packs = _table(
    "packs",
    Column("id", Id, primary_key=True),
    Column("retention_class", Token, nullable=False),  # as in the pack itself
    Column("tag", Token, nullable=False),  # the class that the object is tagged with now
    Column("size", BigInteger, nullable=False),
    Column("members", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("dead", Integer, nullable=False),  # members that no version names any more
    Column("dead_bytes", BigInteger, nullable=False),
    Column("state", Token, nullable=False),  # writing, stored, dead, replaced
    Column("judged", Token, nullable=False),  # under which rules and holds its tag was chosen
    Column("planned_at", Instant, nullable=False),
    Column("put_at", Instant),
    Column("replaced_at", Instant),  # since when another pack has its living members
    Index("ix_packs_state", "tenant_id", "state", "id"),
)
# What archives were asked to give out (`store.retrievals`). Packs only: nothing says what it was about.
retrievals = _table(
    "retrievals",
    Column("id", Id, primary_key=True),
    Column("principal_id", Id, nullable=False),  # who asked
    Column("state", Token, nullable=False),  # waiting, ready, failed
    Column("versions", BigInteger, nullable=False),
    Column("packs", Text, nullable=False),  # JSON list of ids
    Column("missing", Text, nullable=False),  # those of them that could not be read yet
    Column("asked_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Column("until", Instant),  # when the first of what an archive gave out goes back
    Index("ix_retrievals_state", "tenant_id", "state", "id"),
)
version_subjects = _table(
    "version_subjects",
    Column("subject_id", Id, primary_key=True),
    Column("record_id", Id, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    # 0: the version names the person. 1: it names nobody and was derived from what is about the person.
    Column("derived", SmallInteger, nullable=False),
)
# What happened to people that a rule of retention may begin with; the latest of each in a scope.
events = _table(
    "events",
    Column("subject_id", Id, primary_key=True),
    Column("scope", Token, primary_key=True),
    Column("name", Token, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("entry", Token, nullable=False),
)
lineage = _table(
    "lineage",
    Column("parent_id", Id, primary_key=True),
    Column("child_id", Id, primary_key=True),
)

# ── the ledger ────────────────────────────────────────────────────────────────────────────────────
entries = _table(
    "entries",
    Column("writer", Token, primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Token, nullable=False),
    Column("at", Instant, nullable=False),
    Column("principal_id", Id),
    Column("decision_id", Id),
    Column("breakglass_id", Id),  # the elevation that it is about or was made under
    Column("body", LargeBinary, nullable=False),
)
Index(
    "ix_entries_decision",
    entries.c.tenant_id,
    entries.c.decision_id,
    postgresql_where=entries.c.decision_id.is_not(None),
    sqlite_where=entries.c.decision_id.is_not(None),
)
# Who had which role when: a few entries among many.
Index(
    "ix_entries_principal_change",
    entries.c.tenant_id,
    entries.c.at,
    postgresql_where=entries.c.kind == "principal.change",
    sqlite_where=entries.c.kind == "principal.change",
)
Index(
    "ix_entries_breakglass",
    entries.c.tenant_id,
    entries.c.breakglass_id,
    entries.c.at,
    entries.c.writer,
    entries.c.n,
    postgresql_where=entries.c.breakglass_id.is_not(None),
    sqlite_where=entries.c.breakglass_id.is_not(None),
)
# An entry is written once and never touched again. Where it stands in the log is said here: a row for each
# run of one writer's consecutive entries at consecutive places.
places = _table(
    "places",
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),  # of the run's first entry
    Column("writer", Token, nullable=False),
    Column("n", BigInteger, nullable=False),  # of the run's first entry
    Column("count", BigInteger, nullable=False),
    Index("ix_places_writer", "tenant_id", "writer", "n", unique=True),
)
writers = _table(
    "writers",
    Column("writer", Token, primary_key=True),
    Column("next", BigInteger, nullable=False),  # its first entry without a place; the row goes with its end
)
access_lists = _table(
    "access_lists",
    Column("digest", Token, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
logs = _table(
    "logs",
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("origin", Token, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("published", BigInteger, nullable=False),
)
checkpoints = _table(
    "checkpoints",
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
tiles = _table(
    "tiles",
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),  # grows to 256 hashes; a partial tile is a prefix
)
# From which entry on which key signs a generation of the log (`store.ledgerkeys`).
ledger_keys = _table(
    "ledger_keys",
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),  # of the entry that names the key
    Column("vkey", Text, nullable=False),
    Column("size", BigInteger, nullable=False),  # of the checkpoint that both keys signed; of the first key 0
)
# Tenants' checkpoints on their way into the cell's log, and what opens each of them there. The cell's rows.
cell_queue = _table(
    "cell_queue",
    Column("id", Id, primary_key=True),  # the tenant
    Column("generation", Integer, nullable=False),
    Column("origin", Token, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
)
cell_checkpoints = _table(
    "cell_checkpoints",
    Column("id", Id, primary_key=True),  # the tenant
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
    Column("place", Integer, nullable=False),
    Column("path", LargeBinary, nullable=False),  # hashes, joined
    Column("writer", Token, nullable=False),  # with n: the cell's entry
    Column("n", BigInteger, nullable=False),
)
# Time stamps (RFC 3161) over checkpoints.
timestamps = _table(
    "timestamps",
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("response", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
)

LEDGER = frozenset(
    {"entries", "places", "writers", "access_lists", "logs", "checkpoints", "tiles", "ledger_keys"}
)
"""What is kept of a tenant that is gone: it says what was done, and nothing about anybody."""

# ── decisions and erasures ────────────────────────────────────────────────────────────────────────
decisions = _table(
    "decisions",
    Column("id", Id, primary_key=True),
    Column("principal_id", Id, nullable=False),
    Column("purpose", Token, nullable=False),
    Column("subject_id", Id),
    Column("facts", Text, nullable=False),  # agent, model, input digest: administrators' vocabulary
    Column("opened_at", Instant, nullable=False),
    Column("sealed_at", Instant),
    Column("outcome", Token),
    Column("seal_entry", Token),
)
shreds = _table(
    "shreds",
    Column("id", Id, primary_key=True),
    Column("kind", Token, nullable=False),  # subject, hold, tenant
    Column("target_id", Id, nullable=False),
    Column("op_id", Id),
    Column("state", Token, nullable=False),
    Column("steps", Text, nullable=False),
    Column("requested_by", Id, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("findings", Text, nullable=False),  # counts and ids that the certificate will state
    Column("certificate_id", Id),
    Index("ix_shreds_state", "tenant_id", "state"),
)
holds = _table(
    "holds",
    Column("id", Id, primary_key=True),
    Column("kind", Token, nullable=False),  # subject, scope, record
    Column("target", Token, nullable=False),  # the id of a subject or record, or a scope's name
    Column("ground", Token, nullable=False),  # administrators' words, nothing personal
    Column("leaf", BigInteger, nullable=False),
    Column("state", Token, nullable=False),  # active, releasing, released
    Column("placed_by", Id, nullable=False),
    Column("placed_at", Instant, nullable=False),
    Column("released_at", Instant),
    Index("ix_holds_target", "tenant_id", "target"),
)
held_versions = _table(
    "held_versions",
    Column("hold_id", Id, primary_key=True),
    Column("record_id", Id, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
)
# What an application is to derive again without a person; and the tenants in which that is under way.
rederivations = _table(
    "rederivations",
    Column("id", Id, primary_key=True),
    Column("shred_id", Id, nullable=False),
    Column("scope", Token, nullable=False),
    Column("record_id", Id, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("version_id", Id, nullable=False),
    Column("state", Token, nullable=False),  # pending, asked, done, overdue
    Column("attempts", Integer, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("deadline", Instant, nullable=False),
    Index("ix_rederivations_state", "tenant_id", "state", "id"),
    Index("ix_rederivations_shred", "tenant_id", "shred_id"),
)
rederivation_queue = _table("rederivation_queue", Column("id", Id, primary_key=True))
# What people are given of what is held about them (`model.access_package`). Sealed to a leaf of its own and
# to the person's; the pieces are objects. A row says nothing about anybody.
access_packages = _table(
    "access_packages",
    Column("id", Id, primary_key=True),
    Column("request_id", Id, nullable=False),  # the rights request that it answers
    Column("subject_id", Id, nullable=False),
    Column("content", Token, nullable=False),  # access, portability
    Column("state", Token, nullable=False),  # building, pending, ready, fetched, expired
    Column("leaf", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("entry", Token, nullable=False),  # of its newest step on record
    Column("folder", Id),  # of its pieces, of the newest attempt
    Column("retrieval_id", Id),  # what an archive was asked for
    Column("header", LargeBinary),
    Column("pieces", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Token),
    Column("link_index", Token),  # keyed: nobody makes one up who only writes rows
    Column("link_until", Instant),
    Column("link_used_at", Instant),
    Column("fetched_at", Instant),
    Column("fetches", Integer, nullable=False),
    Index("ix_access_packages_request", "tenant_id", "request_id", unique=True),
    Index("ix_access_packages_state", "tenant_id", "state", "id"),
)
certificates = _table(
    "certificates",
    Column("id", Id, primary_key=True),
    Column("shred_id", Id, nullable=False),
    Column("envelope", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)
