"""Who may do what to images: upstream's rule names and defaults."""

from __future__ import annotations

from kilostack.core.policy import Rule

_ADMIN = "rule:context_is_admin"
_OWNER = "project_id:%(project_id)s"
_SEEN = f"({_OWNER} or 'community':%(visibility)s or 'public':%(visibility)s)"
_MEMBER = f"{_ADMIN} or (role:member and {_OWNER})"
_READER = f"{_ADMIN} or (role:reader and {_OWNER})"

RULES: tuple[Rule, ...] = (
    Rule("context_is_admin", "role:admin", scope_types=()),
    Rule("add_image", f"{_ADMIN} or (role:member and {_OWNER} and project_id:%(owner)s)"),
    Rule("get_image", f"{_ADMIN} or (role:reader and {_SEEN})"),
    Rule("get_images", _READER),
    Rule("modify_image", _MEMBER),
    Rule("delete_image", _MEMBER),
    Rule("publicize_image", _ADMIN),
    Rule("communitize_image", _MEMBER),
    Rule("upload_image", _MEMBER),
    Rule("download_image", f"{_ADMIN} or (role:member and {_SEEN})"),
    Rule("deactivate", _MEMBER),
    Rule("reactivate", _MEMBER),
)
