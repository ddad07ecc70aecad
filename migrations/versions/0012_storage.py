"""How much is stored, day by day, and in which layers it lies"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
TABLES = ("storage_samples", "storage_layers")
NUMBERS = ("at", "versions", "bytes", "written_versions", "written_bytes")


def upgrade() -> None:
    op.create_table(
        "storage_samples",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scope", TOKEN, nullable=False),
        sa.Column("tier", TOKEN, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in NUMBERS),
        sa.PrimaryKeyConstraint("tenant_id", "day", "scope", "tier", name=op.f("pk_storage_samples")),
    )
    op.create_table(
        "storage_layers",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_storage_layers")),
    )
    if op.get_bind().dialect.name == "postgresql":
        isolate()


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
