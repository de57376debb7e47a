"""Records of the options that domains have of their own."""

from __future__ import annotations

from kilostack.identity.model.domain_config import DomainOption
from kilostack.identity.store.tables import domain_config as tables
from kilostack.store.records import Records

DOMAIN_OPTIONS = Records(
    DomainOption, tables.DOMAIN_OPTIONS, noun="domain option", key=("domain_id", "group", "option")
)
