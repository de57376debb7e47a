"""The options of a cloud come back from its state directory as they were put in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.core import paths, settings
from kilostack.core.paths import SOCKET_PATH_LIMIT, RunDir, StateDir
from kilostack.core.settings import InvalidSettings, NewerState, NotAStateDir, Settings


def some(state_dir: Path) -> Settings:
    return Settings(
        state_dir=state_dir,
        run_dir=Path("/run/x"),
        hosts=3,
        public_cidr="10.1.0.0/24",
        image=Path("/i"),
        policies={"identity": Path("/rules.yaml")},
    )


def test_they_come_back(tmp_path: Path) -> None:
    StateDir(tmp_path).settings.write_text(settings.render(some(tmp_path)))
    assert settings.load(tmp_path) == some(tmp_path)


def test_a_directory_without_them_is_none_of_ours(tmp_path: Path) -> None:
    with pytest.raises(NotAStateDir):
        settings.load(tmp_path)
    with pytest.raises(NotAStateDir):
        settings.load(tmp_path / "never")


def test_a_later_form_is_refused(tmp_path: Path) -> None:
    values = json.loads(settings.render(some(tmp_path))) | {"kilostack_state": settings.STATE_FORMAT + 1}
    StateDir(tmp_path).settings.write_text(json.dumps(values))
    with pytest.raises(NewerState, match="later release"):
        settings.load(tmp_path)


@given(text=st.text(max_size=30) | st.from_regex(r'\{"kilostack_state": ?.{0,9}\}'))
def test_damage_is_always_named(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    directory = tmp_path_factory.mktemp("state")
    StateDir(directory).settings.write_text(text, encoding="utf-8")
    with pytest.raises((InvalidSettings, NewerState)):
        settings.load(directory)


@pytest.mark.parametrize("name", ["", "a", "9a", "a" * 25, "A", "a_b", "a-", "a-admin", "a/b", "a\n", "ä1"])
def test_names_that_would_not_fit_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidSettings, match="name"):
        settings.check(replace(some(tmp_path), name=name))


def test_sockets_fit_whatever_the_directory(tmp_path: Path) -> None:
    longest = "n" * 24
    for as_root in (True, False):
        for runtime in ("", "/run/user/4294967294", "/" + "r" * 90, "relative"):
            run = RunDir(
                paths.default_run_dir(
                    tmp_path / ("d" * 200), uid=2**32 - 2, as_root=as_root, environ={"XDG_RUNTIME_DIR": runtime}
                )
            )
            guest = run.host(f"{longest}-host-{settings.MAX_HOSTS}") / ("f" * 36) / "q"
            assert len(str(run.agents_socket)) < SOCKET_PATH_LIMIT
            assert not as_root or len(str(guest)) < SOCKET_PATH_LIMIT


def test_each_state_directory_has_a_run_directory_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    one, other, same = (
        paths.default_run_dir(tmp_path / name, uid=1, as_root=True, environ={}) for name in ("a", "b", "link")
    )
    assert one != other
    assert one == same


def test_the_state_directory_follows_xdg() -> None:
    home = Path("/home/x")
    assert paths.default_state_dir("n", {}, home) == Path("/home/x/.local/state/kilostack/n")
    assert paths.default_state_dir("n", {"XDG_STATE_HOME": "/s"}, home) == Path("/s/kilostack/n")
    assert paths.default_state_dir("n", {"XDG_STATE_HOME": "s"}, home) == Path("/home/x/.local/state/kilostack/n")
