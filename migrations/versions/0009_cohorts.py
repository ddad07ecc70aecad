"""Cohorts: leaves that versions share which go together"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "cohorts",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("anchor", TOKEN, nullable=False),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("shred_id", ID, nullable=True),
        sa.Column("seal", TOKEN, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_cohorts")),
    )
    op.create_index("ix_cohorts_anchor", "cohorts", ["tenant_id", "anchor"], unique=True)
    op.create_index("ix_cohorts_leaf", "cohorts", ["tenant_id", "leaf"], unique=True)
    op.create_index("ix_cohorts_state", "cohorts", ["tenant_id", "state", "id"])
    op.add_column("versions", sa.Column("cohort", sa.BigInteger(), nullable=True))
    live = sa.text("state = 'live'")
    op.create_index(
        "ix_versions_cohort",
        "versions",
        ["tenant_id", "cohort", "record_id", "version"],
        postgresql_where=live,
        sqlite_where=live,
    )
    if op.get_bind().dialect.name == "postgresql":
        isolate()


def isolate() -> None:
    """Row-level security, as in 0001."""
    op.execute("ALTER TABLE cohorts ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE cohorts FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY tenant ON cohorts "
        "USING (tenant_id = nullif(current_setting('tenure.tenant', true), '')::uuid)"
    )


def downgrade() -> None:
    op.drop_index("ix_versions_cohort", "versions")
    op.drop_column("versions", "cohort")
    op.drop_table("cohorts")
