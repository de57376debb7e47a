"""Tables of the image service."""

from __future__ import annotations

from sqlalchemy import Index, MetaData, Table

from kilostack.store import sql

META = MetaData()
SCHEMA_NUMBER = 1

IMAGES = Table(
    "images",
    META,
    sql.uuid("id", key=True),
    sql.text("owner"),
    sql.text("name", null=True),
    sql.text("status", 32),
    sql.text("visibility", 32),
    sql.boolean("protected"),
    sql.boolean("hidden"),
    sql.text("disk_format", 32, null=True),
    sql.text("container_format", 32, null=True),
    sql.integer("size_bytes", null=True),
    sql.integer("virtual_size_bytes", null=True),
    sql.text("md5", 32, null=True),
    sql.text("sha512", 128, null=True),
    sql.integer("min_disk_gib"),
    sql.integer("min_ram_mib"),
    sql.json("tags"),
    sql.json("properties"),
    sql.uuid("upload_id", null=True),
    sql.integer("created_at"),
    sql.integer("updated_at"),
    *sql.counters(),
)
Index("images_owner", IMAGES.c.owner, IMAGES.c.created_at)
Index("images_visibility", IMAGES.c.visibility, IMAGES.c.created_at)

#: digests of tags and properties, by which lists are filtered
MARKS = Table("image_marks", META, sql.uuid("image_id", key=True), sql.text("mark", 64, key=True, index=True))

#: ids that were once used: contents are named by them, so none is given out again
RETIRED = Table("retired_ids", META, sql.uuid("id", key=True), sql.integer("at"))

#: what bootstrap has made once, so that it is not made again after somebody deleted it
MADE = Table("made", META, sql.text("what", 64, key=True), sql.uuid("image_id"), sql.integer("at"))
