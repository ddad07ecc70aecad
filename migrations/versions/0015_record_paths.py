"""Where records are filed: blind indexes of paths that lead to them"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
TABLE = "record_paths"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("path_index", TOKEN, nullable=False),
        sa.Column("record_id", ID, nullable=False),
        sa.Column("seal", TOKEN, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "path_index", "record_id", name=op.f("pk_record_paths")),
    )
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
    op.drop_table(TABLE)
