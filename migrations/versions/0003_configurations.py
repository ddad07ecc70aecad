"""Generations of a tenant's configuration, and in which of them a manifest was applied"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "configurations",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("principal_id", ID, nullable=False),
        sa.Column("entry", TOKEN, nullable=False),
        sa.Column("digest", TOKEN, nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.Column("restored", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "generation", name=op.f("pk_configurations")),
    )
    op.add_column("manifests", sa.Column("applied_in", sa.BigInteger(), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        isolate()


def isolate() -> None:
    """Row-level security, as in 0001."""
    op.execute("ALTER TABLE configurations ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE configurations FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY tenant ON configurations "
        "USING (tenant_id = nullif(current_setting('tenure.tenant', true), '')::uuid)"
    )


def downgrade() -> None:
    op.drop_column("manifests", "applied_in")
    op.drop_table("configurations")
