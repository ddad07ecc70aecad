"""Declared limits, and how much each tenant stores"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TABLES = ("limits", "usage")
NUMBERS = ("requests", "bytes", "records", "burst_s", "concurrent", "stored_versions", "stored_bytes")
COUNT = (
    "INSERT INTO usage (tenant_id, slot, versions, bytes) "
    "SELECT tenant_id, 0, count(*), coalesce(sum(length(head) + length(content)), 0) "
    "FROM versions WHERE content IS NOT NULL GROUP BY tenant_id"
)


def upgrade() -> None:
    op.create_table(
        "limits",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in NUMBERS),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_limits")),
    )
    op.create_table(
        "usage",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("versions", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "slot", name=op.f("pk_usage")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # The owner of the tables sees no row while row-level security is forced on it.
        op.execute("ALTER TABLE versions NO FORCE ROW LEVEL SECURITY")
        op.execute(COUNT)
        op.execute("ALTER TABLE versions FORCE ROW LEVEL SECURITY")
        isolate()
    else:
        op.execute(COUNT)


def isolate() -> None:
    """Row-level security, as in 0001."""
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
