"""Use cases over the records of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Duplicate, Forbidden, NotFound
from kilostack.core.policy import Policy
from kilostack.core.world import World
from kilostack.drivers.blobs.port import Blobs
from kilostack.image.model.image import SETTABLE, Change, Event, Image, changed, check_name, limited, value_of
from kilostack.image.store import images as store
from kilostack.store.database import Database, Tx
from kilostack.store.lists import Ask, Where


class Images:
    """What a caller may do to images; images that the caller may not see do not exist."""

    def __init__(self, db: Database, world: World, policy: Policy, blobs: Blobs) -> None:
        self._db, self._world, self._policy, self._blobs = db, world, policy, blobs

    async def get(self, ctx: Context, image_id: str) -> Image:
        """Raises `NotFound`."""
        return await self._db.read(lambda tx: self._seen(tx, ctx, image_id))

    async def list(self, ctx: Context, ask: Ask, visibility: str | None) -> tuple[Sequence[Image], bool]:
        """A page of what the caller may see, and whether the page is full. `ask` must have a limit."""
        self._policy.check(ctx, "get_images", {"project_id": ctx.project_id})
        conditions = list(ask.where)
        if not ctx.is_admin:
            conditions.append(Where("visible", (ctx.project_id,)))
        if visibility is None:
            conditions.append(Where("usual", (ctx.project_id,)))
        elif visibility != "all":
            conditions.append(Where("visibility", (visibility,)))
        asked = msgspec.structs.replace(ask, where=tuple(conditions))

        async def unit(tx: Tx) -> list[Image]:
            if ask.marker is not None and not self._may_see(ctx, await store.find(tx, ask.marker)):
                raise BadRequest(f"No image found with ID {ask.marker}", field="marker")
            return await store.COLLECTION.page(tx, asked)

        found = await self._db.read(unit)
        return [image for image in found if self._may_see(ctx, image)], len(found) == ask.limit

    async def create(self, ctx: Context, wanted: Mapping[str, Any]) -> Image:
        """A queued image with the given attributes. Raises `Duplicate` for an id that was ever used."""
        now = self._world.now()
        owner = wanted["owner"] or "" if "owner" in wanted else ctx.project_id
        values: dict[str, Any] = {"id": wanted.get("id") or self._world.new_id(), "owner": owner}
        properties: dict[str, str] = {}
        for name, value in wanted.items():
            if (field := SETTABLE.get(name)) is not None:
                values[field] = value_of(name, value)
            elif name != "id":
                check_name(name)
                properties[name] = value
        image = limited(Image(**values, properties=properties, created_at=now, updated_at=now))
        target = {"project_id": owner, "owner": owner, "visibility": image.visibility}
        if not self._policy.allows(ctx, "add_image", target):
            if owner != ctx.project_id:
                raise Forbidden(f"You are not permitted to create images owned by '{owner}'")
            self._policy.check(ctx, "add_image", target)
        self._check_visibility(ctx, image)
        try:
            return await self._db.write(lambda tx: store.insert(tx, image))
        except Duplicate:
            raise Duplicate(f"Image ID {image.id} already exists!") from None

    async def update(self, ctx: Context, image_id: str, changes: Sequence[Change]) -> Image:
        """Apply the changes in order, all or none."""

        def change(image: Image) -> Image:
            after = image
            for one in changes:
                if one.name == "owner" and one.op == "replace" and not ctx.is_admin:
                    raise Forbidden("Owner can't be updated by non admin.")
                if one.name == "visibility" and one.op != "remove":
                    self._check_visibility(ctx, msgspec.structs.replace(image, visibility=one.value))
                self._check(ctx, "modify_image", image)
                after = changed(after, one)
            return after

        return await self._changed(ctx, image_id, change)

    async def tag(self, ctx: Context, image_id: str, tag: str, *, present: bool) -> None:
        """Add or remove one tag. Raises `NotFound` when there is none to remove."""

        def change(image: Image) -> Image:
            self._check(ctx, "modify_image", image)
            rest = tuple(found for found in image.tags if found != tag)
            if not present and rest == image.tags:
                raise NotFound(f"Failed to find image {image_id} tag {tag}")
            return limited(msgspec.structs.replace(image, tags=(*rest, tag) if present else rest))

        await self._changed(ctx, image_id, change)

    async def deactivate(self, ctx: Context, image_id: str) -> None:
        """Keep everybody but administrators from the content."""
        await self._turned(ctx, image_id, "deactivate", Event.DEACTIVATE)

    async def reactivate(self, ctx: Context, image_id: str) -> None:
        await self._turned(ctx, image_id, "reactivate", Event.REACTIVATE)

    async def _turned(self, ctx: Context, image_id: str, rule: str, event: Event) -> None:
        def change(image: Image) -> Image:
            self._check(ctx, rule, image)
            if not image.has_content:
                raise Forbidden(f"Not allowed to {rule} image in status '{image.status}'")
            return msgspec.structs.replace(image, status=image.after(event))

        await self._changed(ctx, image_id, change)

    async def delete(self, ctx: Context, image_id: str) -> None:
        """Remove the record, then the content; servers that run from it have copies of their own."""
        now = self._world.now()

        async def unit(tx: Tx) -> None:
            image = await self._seen(tx, ctx, image_id)
            self._check(ctx, "delete_image", image)
            if image.protected:
                raise Forbidden(f"Image {image_id} is protected and cannot be deleted.")
            await store.delete(tx, image, now)

        await self._db.write(unit)
        await self._blobs.remove(image_id)

    async def changed_as(self, ctx: Context, image_id: str, rule: str, change: Callable[[Image], Image]) -> Image:
        """The image after a pure `change` that `rule` allows."""

        def checked(image: Image) -> Image:
            self._check(ctx, rule, image)
            return change(image)

        return await self._changed(ctx, image_id, checked)

    async def readable(self, ctx: Context, image_id: str) -> Image:
        """The image, if the caller may have its content. Raises `NotFound` or `Forbidden`."""
        image = await self.get(ctx, image_id)
        if image.status == "deactivated" and not ctx.is_admin:
            raise Forbidden("The requested image has been deactivated. Image data download is forbidden.")
        self._check(ctx, "download_image", image)
        return image

    async def _changed(self, ctx: Context, image_id: str, change: Callable[[Image], Image]) -> Image:
        now = self._world.now()

        async def unit(tx: Tx) -> Image:
            before = await self._seen(tx, ctx, image_id)
            after = change(before)
            if after == before:
                return before
            return await store.update(tx, before, msgspec.structs.replace(after, updated_at=now))

        return await self._db.write(unit)

    async def _seen(self, tx: Tx, ctx: Context, image_id: str) -> Image:
        image = await store.find(tx, image_id)
        if image is None or not self._may_see(ctx, image):
            raise NotFound(f"No image found with ID {image_id}")
        return image

    def _may_see(self, ctx: Context, image: Image | None) -> bool:
        return image is not None and self._policy.allows(ctx, "get_image", _target(image))

    def _check(self, ctx: Context, rule: str, image: Image) -> None:
        self._policy.check(ctx, rule, _target(image))

    def _check_visibility(self, ctx: Context, image: Image) -> None:
        rule = {"public": "publicize_image", "community": "communitize_image"}.get(image.visibility)
        if rule is not None:
            self._check(ctx, rule, image)


def _target(image: Image) -> dict[str, str]:
    return {"project_id": image.owner, "owner": image.owner, "visibility": image.visibility}
