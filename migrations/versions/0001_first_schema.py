"""First schema"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
TABLES = (
    "access_lists",
    "bucket_leaves",
    "certificates",
    "checkpoints",
    "coordinator",
    "credentials",
    "decisions",
    "entries",
    "held_versions",
    "holds",
    "idempotency",
    "key_batches",
    "key_manifests",
    "key_pointer",
    "key_shards",
    "label_sets",
    "leaf_sequences",
    "lineage",
    "logs",
    "manifests",
    "places",
    "policy_bundles",
    "principals",
    "records",
    "rederivation_queue",
    "rederivations",
    "replicas",
    "scope_leaves",
    "shred_queue",
    "shreds",
    "subjects",
    "tenant_state",
    "tenants",
    "tiles",
    "version_subjects",
    "versions",
    "writers",
)


def upgrade() -> None:
    op.create_table(
        "access_lists",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("digest", TOKEN, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "digest", name=op.f("pk_access_lists")),
    )
    op.create_table(
        "certificates",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("shred_id", ID, nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_certificates")),
    )
    op.create_table(
        "bucket_leaves",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "bucket", name=op.f("pk_bucket_leaves")),
    )
    op.create_table(
        "coordinator",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("replica_id", ID, nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_coordinator")),
    )
    op.create_table(
        "held_versions",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("hold_id", ID, nullable=False),
        sa.Column("record_id", ID, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "hold_id", "record_id", "version", name=op.f("pk_held_versions")
        ),
    )
    op.create_table(
        "holds",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", TOKEN, nullable=False),
        sa.Column("target", TOKEN, nullable=False),
        sa.Column("ground", TOKEN, nullable=False),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("placed_by", ID, nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_holds")),
    )
    op.create_index("ix_holds_target", "holds", ["tenant_id", "target"], unique=False)
    op.create_table(
        "replicas",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_replicas")),
    )
    op.create_table(
        "shred_queue",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_shred_queue")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "generation", "size", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "credentials",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("principal_id", ID, nullable=False),
        sa.Column("secret_hash", TOKEN, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_credentials")),
    )
    op.create_index("ix_credentials_secret", "credentials", ["tenant_id", "secret_hash"], unique=True)

    op.create_table(
        "decisions",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("principal_id", ID, nullable=False),
        sa.Column("purpose", TOKEN, nullable=False),
        sa.Column("subject_id", ID, nullable=True),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", TOKEN, nullable=True),
        sa.Column("seal_entry", TOKEN, nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_decisions")),
    )
    op.create_table(
        "entries",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("writer", TOKEN, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", TOKEN, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("principal_id", ID, nullable=True),
        sa.Column("decision_id", ID, nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "writer", "n", name=op.f("pk_entries")),
    )
    op.create_index(
        "ix_entries_decision",
        "entries",
        ["tenant_id", "decision_id"],
        unique=False,
        postgresql_where=sa.text("decision_id IS NOT NULL"),
        sqlite_where=sa.text("decision_id IS NOT NULL"),
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("principal_id", ID, nullable=False),
        sa.Column("key_hash", TOKEN, nullable=False),
        sa.Column("payload_hash", TOKEN, nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "principal_id", "key_hash", name=op.f("pk_idempotency")),
    )
    op.create_table(
        "key_batches",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("op_id", ID, nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "op_id", name=op.f("pk_key_batches")),
    )
    op.create_table(
        "key_manifests",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "seq", name=op.f("pk_key_manifests")),
    )
    op.create_table(
        "key_pointer",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_key_pointer")),
    )
    op.create_table(
        "key_shards",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("depth", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("prefix", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "depth", "prefix", "seq", name=op.f("pk_key_shards")),
    )
    op.create_table(
        "label_sets",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("scope", TOKEN, nullable=False),
        sa.Column("labels", TOKEN, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "scope", "labels", name=op.f("pk_label_sets")),
    )
    op.create_table(
        "leaf_sequences",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("epoch", sa.SmallInteger(), nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_leaf_sequences")),
    )
    op.create_table(
        "lineage",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("parent_id", ID, nullable=False),
        sa.Column("child_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "parent_id", "child_id", name=op.f("pk_lineage")),
    )
    op.create_table(
        "logs",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("origin", TOKEN, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("published", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "generation", name=op.f("pk_logs")),
    )
    op.create_table(
        "manifests",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("kind", TOKEN, nullable=False),
        sa.Column("name", TOKEN, nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "name", name=op.f("pk_manifests")),
    )
    op.create_table(
        "places",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("idx", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("writer", TOKEN, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "generation", "idx", name=op.f("pk_places")),
    )
    op.create_index("ix_places_writer", "places", ["tenant_id", "writer", "n"], unique=True)

    op.create_table(
        "policy_bundles",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("digest", TOKEN, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "digest", name=op.f("pk_policy_bundles")),
    )
    op.create_table(
        "principals",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", TOKEN, nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_principals")),
    )
    op.create_index("ix_principals_name", "principals", ["tenant_id", "name"], unique=True)

    op.create_table(
        "records",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("scope", TOKEN, nullable=False),
        sa.Column("key_index", TOKEN, nullable=False),
        sa.Column("latest", sa.BigInteger(), nullable=False),
        sa.Column("labels", TOKEN, nullable=False),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_records")),
    )
    op.create_index("ix_records_key", "records", ["tenant_id", "key_index"], unique=True)
    op.create_index("ix_records_scope", "records", ["tenant_id", "scope", "state", "id"], unique=False)

    op.create_table(
        "scope_leaves",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("scope", TOKEN, nullable=False),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "scope", name=op.f("pk_scope_leaves")),
    )
    op.create_table(
        "shreds",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", TOKEN, nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("op_id", ID, nullable=True),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("requested_by", ID, nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("certificate_id", ID, nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_shreds")),
    )
    op.create_index("ix_shreds_state", "shreds", ["tenant_id", "state"], unique=False)

    op.create_table(
        "subjects",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("ref_index", TOKEN, nullable=True),
        sa.Column("bucket", sa.SmallInteger(), nullable=True),
        sa.Column("ref_header", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_ref", sa.LargeBinary(), nullable=True),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("shred_id", ID, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_subjects")),
    )
    op.create_index("ix_subjects_bucket", "subjects", ["tenant_id", "bucket"], unique=False)
    op.create_index("ix_subjects_leaf", "subjects", ["tenant_id", "leaf"], unique=True)
    op.create_index("ix_subjects_ref", "subjects", ["tenant_id", "ref_index"], unique=True)

    op.create_table(
        "tenant_state",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("principal_epoch", sa.BigInteger(), nullable=False),
        sa.Column("policy_epoch", sa.BigInteger(), nullable=False),
        sa.Column("key_epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant_state")),
    )
    op.create_table(
        "tenants",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_tenants")),
    )
    op.create_table(
        "tiles",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "generation", "level", "n", name=op.f("pk_tiles")),
    )
    op.create_table(
        "version_subjects",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("record_id", ID, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("derived", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "subject_id", "record_id", "version", name=op.f("pk_version_subjects")
        ),
    )
    op.create_table(
        "versions",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("record_id", ID, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("scope", TOKEN, nullable=False),
        sa.Column("labels", TOKEN, nullable=False),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("principal_id", ID, nullable=False),
        sa.Column("entry", TOKEN, nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=True),
        sa.Column("head", sa.LargeBinary(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("segments", sa.SmallInteger(), nullable=True),
        sa.Column("shred_id", ID, nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "record_id", "version", name=op.f("pk_versions")),
    )
    op.create_index("ix_versions_id", "versions", ["tenant_id", "id"], unique=True)

    op.create_table(
        "writers",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("writer", TOKEN, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "writer", name=op.f("pk_writers")),
    )
    _rederivations()
    if op.get_bind().dialect.name == "postgresql":
        isolate()


def _rederivations() -> None:
    op.create_table(
        "rederivations",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("shred_id", ID, nullable=False),
        sa.Column("scope", TOKEN, nullable=False),
        sa.Column("record_id", ID, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("version_id", ID, nullable=False),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rederivations")),
    )
    op.create_index("ix_rederivations_state", "rederivations", ["tenant_id", "state", "id"])
    op.create_index("ix_rederivations_shred", "rederivations", ["tenant_id", "shred_id"])
    op.create_table(
        "rederivation_queue",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rederivation_queue")),
    )


def isolate() -> None:
    """Row-level security: a transaction that did not set its tenant sees no row, whoever it is.

    FORCE holds for the owner too; a superuser is above it, so the service must not connect as one.
    """
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant ON {table} "
            "USING (tenant_id = nullif(current_setting('tenure.tenant', true), '')::uuid)"
        )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
