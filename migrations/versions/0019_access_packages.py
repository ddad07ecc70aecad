"""Access packages: what people are given of what is held about them"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TOKEN = sa.Text(collation="C").with_variant(sa.Text(), "sqlite")
TABLE = "access_packages"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("request_id", ID, nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("content", TOKEN, nullable=False),
        sa.Column("state", TOKEN, nullable=False),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("entry", TOKEN, nullable=False),
        sa.Column("folder", ID, nullable=True),
        sa.Column("retrieval_id", ID, nullable=True),
        sa.Column("header", sa.LargeBinary(), nullable=True),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", TOKEN, nullable=True),
        sa.Column("link_index", TOKEN, nullable=True),
        sa.Column("link_until", sa.BigInteger(), nullable=True),
        sa.Column("link_used_at", sa.BigInteger(), nullable=True),
        sa.Column("fetched_at", sa.BigInteger(), nullable=True),
        sa.Column("fetches", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_access_packages")),
    )
    op.create_index(op.f("ix_access_packages_request"), TABLE, ["tenant_id", "request_id"], unique=True)
    op.create_index(op.f("ix_access_packages_state"), TABLE, ["tenant_id", "state", "id"])
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
    op.drop_index(op.f("ix_access_packages_state"), table_name=TABLE)
    op.drop_index(op.f("ix_access_packages_request"), table_name=TABLE)
    op.drop_table(TABLE)
