"""Break-glass: elevations, the reviews they need, and the entries made under them"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
TABLES = ("breakglass", "breakglass_queue")


def upgrade() -> None:
    op.create_table(
        "breakglass",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("principal_id", ID, nullable=False),
        sa.Column("role", TOKEN, nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_reason", sa.LargeBinary(), nullable=False),
        sa.Column("decided_by", ID),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("ends_at", sa.BigInteger()),
        sa.Column("review_due", sa.BigInteger()),
        sa.Column("ended_by", ID),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("reviewed_by", ID),
        sa.Column("reviewed_at", sa.BigInteger()),
        sa.Column("outcome", TOKEN),
        sa.Column("note_header", sa.LargeBinary()),
        sa.Column("sealed_note", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_breakglass")),
    )
    op.create_index("ix_breakglass_state", "breakglass", ["tenant_id", "state", "id"])
    op.create_index("ix_breakglass_principal", "breakglass", ["tenant_id", "principal_id"])
    op.create_table(
        "breakglass_queue",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("owner_id", ID, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_breakglass_queue")),
    )
    op.create_index("ix_breakglass_queue_due", "breakglass_queue", ["tenant_id", "due_at"])
    op.add_column("entries", sa.Column("breakglass_id", ID))
    op.create_index(
        "ix_entries_breakglass",
        "entries",
        ["tenant_id", "breakglass_id", "at", "writer", "n"],
        postgresql_where=sa.text("breakglass_id IS NOT NULL"),
        sqlite_where=sa.text("breakglass_id IS NOT NULL"),
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
    op.drop_index("ix_entries_breakglass", "entries")
    op.drop_column("entries", "breakglass_id")
    for table in TABLES:
        op.drop_table(table)
