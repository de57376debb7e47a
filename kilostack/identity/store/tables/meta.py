"""What all tables of identity share: their metadata, and the feed that other processes follow."""

from __future__ import annotations

from sqlalchemy import MetaData

from kilostack.store.feed import Feed
from kilostack.wire.identity_calls import TOPIC

META = MetaData()


SCHEMA_NUMBER = 2


FEED = Feed(META, TOPIC)
