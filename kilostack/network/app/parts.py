"""What every use case of network is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from kilostack.core.policy import Policy
from kilostack.core.world import Micros, World
from kilostack.network.app.liveness import Liveness
from kilostack.network.model import group_rules
from kilostack.network.model.port import draw_macs
from kilostack.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Figures of the data plane that the API shows."""

    tenant_mtu: int = 1450
    external_mtu: int = 1500
    availability_zone: str = "nova"
    #: the physical network of every flat network
    physical_network: str = "public"


@dataclass(frozen=True, slots=True)
class Drawn:
    """Ids, times and chance of one unit, made before it: a unit that runs again must not draw again."""

    now: Micros
    ids: tuple[str, ...]
    macs: tuple[tuple[str, ...], ...]
    seed: int
    #: for the default group of a project and its rules
    group_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    db: Database
    world: World
    policy: Policy
    liveness: Liveness
    settings: Settings = field(default_factory=Settings)

    def draw(self, ids: int = 0, macs: int = 0) -> Drawn:
        """`ids` new ids, and candidates for the MACs of `macs` ports."""
        chance = self.world.random()
        return Drawn(
            now=self.world.now(),
            ids=tuple(self.world.new_id() for _ in range(ids)),
            macs=tuple(draw_macs(chance) for _ in range(macs)),
            seed=chance.getrandbits(32),
            group_ids=tuple(self.world.new_id() for _ in range(1 + group_rules.FIRST_RULES)),
        )
