"""Where contents lie that are in packs, and the packs"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
HOT = sa.text("header IS NOT NULL AND pack_id IS NULL")
PACKED = sa.text("pack_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("versions", sa.Column("pack_id", ID, nullable=True))
    op.add_column("versions", sa.Column("pack_offset", sa.BigInteger(), nullable=True))
    op.add_column("versions", sa.Column("pack_length", sa.BigInteger(), nullable=True))
    op.add_column("versions", sa.Column("pack_sha256", sa.LargeBinary(), nullable=True))
    op.create_index(
        "ix_versions_hot",
        "versions",
        ["tenant_id", "scope", "labels", "created_at"],
        postgresql_where=HOT,
        sqlite_where=HOT,
    )
    op.create_index(
        "ix_versions_pack", "versions", ["tenant_id", "pack_id"], postgresql_where=PACKED, sqlite_where=PACKED
    )
    op.create_table(
        "packs",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("retention_class", TOKEN, nullable=False),
        sa.Column("tag", TOKEN, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("dead", sa.Integer(), nullable=False),
        sa.Column("dead_bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("judged", TOKEN, nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("put_at", sa.BigInteger(), nullable=True),
        sa.Column("replaced_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_packs")),
    )
    op.create_index("ix_packs_state", "packs", ["tenant_id", "state", "id"])
    if op.get_bind().dialect.name == "postgresql":
        isolate()


def isolate() -> None:
    """Row-level security, as in 0001."""
    op.execute("ALTER TABLE packs ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE packs FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY tenant ON packs "
        "USING (tenant_id = nullif(current_setting('tenure.tenant', true), '')::uuid)"
    )


def downgrade() -> None:
    """Contents that are in packs stay there: the versions that they are of cannot be read afterwards."""
    op.drop_table("packs")
    op.drop_index("ix_versions_pack", "versions")
    op.drop_index("ix_versions_hot", "versions")
    for name in ("pack_sha256", "pack_length", "pack_offset", "pack_id"):
        op.drop_column("versions", name)
