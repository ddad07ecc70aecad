"""What holds for people at once: restrictions and objections; what a rectification marks"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
TABLE = "subject_limits"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("kind", TOKEN, nullable=False),
        sa.Column("purpose", TOKEN, nullable=False),
        sa.Column("request_id", ID, nullable=False),
        sa.Column("set_by", ID),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("entry", TOKEN, nullable=False),
        sa.Column("lifted_by", ID),
        sa.Column("lifted_at", sa.BigInteger()),
        sa.Column("lifted_entry", TOKEN),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_subject_limits")),
    )
    op.create_index("ix_subject_limits_subject", TABLE, ["tenant_id", "subject_id"])
    op.create_index("ix_subject_limits_epoch", TABLE, ["tenant_id", "epoch"])
    op.add_column("versions", sa.Column("restricted_since", sa.BigInteger()))
    op.add_column("versions", sa.Column("stale_since", sa.BigInteger()))
    # Defaults, because the owner of the tables sees no row to update while row-level security is forced.
    op.add_column(
        "tenant_state", sa.Column("subject_epoch", sa.BigInteger(), nullable=False, server_default="1")
    )
    op.add_column("rederivations", sa.Column("cause", TOKEN, nullable=False, server_default="erasure"))
    if op.get_bind().dialect.name == "postgresql":
        isolate()


def isolate() -> None:
    """Row-level security, as in 0001."""
    op.execute(f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {TABLE} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant ON {TABLE} "
        "USING (tenant_id = nullif(current_setting('tenure.tenant', true), '')::uuid)"
    )


def downgrade() -> None:
    op.drop_column("rederivations", "cause")
    op.drop_column("tenant_state", "subject_epoch")
    op.drop_column("versions", "stale_since")
    op.drop_column("versions", "restricted_since")
    op.drop_table(TABLE)
