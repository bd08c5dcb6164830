"""Domains count their commits, so that processes that share a store know what they have cached."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the count."""
    op.add_column("domains", sa.Column("version", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    """Drop the count."""
    op.drop_column("domains", "version")
