"""The cache of rendered fragments: by revision, bounded, with holes that nobody can fill but us."""

from __future__ import annotations

from kilostack.http.fragments import Fragments

ROOT = "http://cloud.test"


def test_only_the_revision_asked_for_is_found() -> None:
    fragments = Fragments("s")
    assert fragments.find("a", 1, ROOT) is None
    assert fragments.keep("a", 1, {"n": 1}, ROOT) == b'{"n":1}'
    assert fragments.find("a", 1, ROOT) == b'{"n":1}'
    assert fragments.find("a", 2, ROOT) is None
    fragments.keep("a", 2, {"n": 2}, ROOT)
    assert (fragments.find("a", 1, ROOT), fragments.find("a", 2, ROOT)) == (None, b'{"n":2}')


def test_links_follow_the_root_of_each_request() -> None:
    fragments = Fragments("s")
    document = {"href": fragments.hole + "/x", "name": "hole:"}
    assert fragments.keep("a", 1, document, ROOT) == b'{"href":"http://cloud.test/x","name":"hole:"}'
    # the root comes from a header: it must not end the string
    assert fragments.find("a", 1, 'http://h"x') == b'{"href":"http://h\\"x/x","name":"hole:"}'
    assert fragments.find("a", 1, ROOT) == b'{"href":"http://cloud.test/x","name":"hole:"}'


def test_the_least_recently_used_go_first() -> None:
    fragments = Fragments("s", limit_bytes=3000)
    text = "x" * 500
    fragments.keep("a", 1, text, ROOT)
    fragments.keep("b", 1, text, ROOT)
    assert fragments.find("a", 1, ROOT)
    fragments.keep("c", 1, text, ROOT)
    assert [fragments.find(key, 1, ROOT) is None for key in "abc"] == [False, True, False]


def test_replacing_a_revision_gives_its_room_back() -> None:
    fragments = Fragments("s", limit_bytes=3000)
    fragments.keep("other", 1, "kept", ROOT)
    for revision in range(100):
        fragments.keep("a", revision, "x" * 500, ROOT)
    assert fragments.find("other", 1, ROOT) is not None
