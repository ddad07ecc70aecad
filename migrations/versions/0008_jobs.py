"""Jobs of the cell: how each went last, and which process runs it"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", TOKEN, nullable=False),
        sa.Column("every_us", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("holder", TOKEN, nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("succeeded_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", TOKEN, nullable=True),
        sa.Column("error", TOKEN, nullable=True),
        sa.Column("duration_us", sa.BigInteger(), nullable=True),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_jobs")),
    )
    if op.get_bind().dialect.name == "postgresql":
        isolate()


def isolate() -> None:
    """Row-level security, as in 0001."""
    op.execute("ALTER TABLE jobs ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE jobs FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY tenant ON jobs "
        "USING (tenant_id = nullif(current_setting('tenure.tenant', true), '')::uuid)"
    )


def downgrade() -> None:
    op.drop_table("jobs")
