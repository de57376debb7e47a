"""Records of regions, services and endpoints, and what may be asked of their collections."""

from __future__ import annotations

from kilostack.identity.model.catalog import Endpoint, Region, Service
from kilostack.identity.store.tables import catalog as tables
from kilostack.store.lists import Collection
from kilostack.store.records import Records

REGIONS = Records(Region, tables.REGIONS, noun="region")


SERVICES = Records(Service, tables.SERVICES, noun="service")


ENDPOINTS = Records(Endpoint, tables.ENDPOINTS, noun="endpoint")


_BY_ID = (("id", False),)


REGION_LIST = Collection(
    REGIONS, filters={"parent_region_id": "parent_region_id"}, sorts={"id": "id"}, default_sort=_BY_ID
)


SERVICE_LIST = Collection(
    SERVICES,
    filters={"name": "name", "type": "type"},
    sorts={"id": "id", "type": "type"},
    default_sort=(("type", False),),
)


ENDPOINT_LIST = Collection(
    ENDPOINTS,
    filters={"interface": "interface", "service_id": "service_id", "region_id": "region_id"},
    sorts={"id": "id"},
    default_sort=_BY_ID,
)
