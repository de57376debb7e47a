"""Tables of placement. What is used of an inventory is a column of its row, which each claim locks."""

from __future__ import annotations

import msgspec
from sqlalchemy import MetaData, Table, UniqueConstraint

from kilostack.store.feed import Feed
from kilostack.store.records import Records
from kilostack.store.sql import integer, json, text, uuid
from kilostack.workflow.fence import Fence

META = MetaData()
SCHEMA_NUMBER = 1
FEED = Feed(META, "placement.feed")
FENCE = Fence(META)

providers = Table(
    "providers",
    META,
    uuid("id", key=True),
    text("name"),
    json("traits"),
    integer("generation"),
    UniqueConstraint("name", name="providers_name"),
)

inventories = Table(
    "inventories",
    META,
    uuid("provider_id", key=True),
    text("resource_class", key=True),
    integer("total"),
    integer("reserved"),
    text("allocation_ratio", 32),
    integer("capacity"),
    integer("used"),
)

consumers = Table(
    "consumers",
    META,
    uuid("id", key=True),
    uuid("provider_id"),
    uuid("project_id"),
    uuid("user_id"),
    uuid("saga_id"),
    integer("created_at"),
    integer("missing_since", null=True),
)

allocations = Table(
    "allocations",
    META,
    uuid("consumer_id", key=True),
    text("resource_class", key=True),
    integer("amount"),
)


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True):
    """A resource provider without its inventories. The generation rises with anything of it that changes."""

    id: str
    name: str
    traits: tuple[str, ...] = ()
    generation: int = 1


class InventoryRow(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one resource class a provider has. `capacity` follows from the three numbers before it."""

    provider_id: str
    resource_class: str
    total: int
    reserved: int
    #: a decimal number as text: columns hold integers and text only
    allocation_ratio: str
    capacity: int
    used: int = 0


class ConsumerRow(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds allocations, all from one provider."""

    id: str
    provider_id: str
    project_id: str
    user_id: str
    #: the saga that claimed
    saga_id: str
    created_at: int
    #: since when nobody knows of this consumer; None while somebody does
    missing_since: int | None = None


class AllocationRow(msgspec.Struct, frozen=True, kw_only=True):
    consumer_id: str
    resource_class: str
    amount: int


PROVIDERS = Records(ProviderRow, providers, noun="Resource provider")
INVENTORIES = Records(InventoryRow, inventories, noun="Inventory", key=("provider_id", "resource_class"))
CONSUMERS = Records(ConsumerRow, consumers, noun="Consumer")
ALLOCATIONS = Records(AllocationRow, allocations, noun="Allocation", key=("consumer_id", "resource_class"))
