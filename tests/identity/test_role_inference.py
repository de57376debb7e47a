"""What roles imply, decided from records alone: rings end, and more is never less."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kilostack.identity.model.roles import Implication, closure, implied_by, priors_of, reached

_ROLES = st.sampled_from("abcdef")
_PAIRS = st.lists(st.builds(lambda p, i: Implication(prior_id=p, implied_id=i), _ROLES, _ROLES), max_size=12)


@given(_PAIRS, st.sets(_ROLES))
def test_the_closure_is_closed_and_smallest(pairs: list[Implication], roles: set[str]) -> None:
    found = closure(roles, implied_by(pairs))
    assert roles <= found
    for pair in pairs:
        assert pair.prior_id not in found or pair.implied_id in found
    # nothing is there that does not follow from what was given, step by step
    followed = set(roles)
    for _ in pairs:
        followed |= {pair.implied_id for pair in pairs if pair.prior_id in followed}
    assert found == followed


@given(_PAIRS, st.sets(_ROLES))
def test_the_closure_of_a_closure_is_itself(pairs: list[Implication], roles: set[str]) -> None:
    implied = implied_by(pairs)
    once = closure(roles, implied)
    assert closure(once, implied) == once


@given(_PAIRS, _PAIRS, st.sets(_ROLES), st.sets(_ROLES))
def test_more_roles_and_more_implications_never_give_less(
    pairs: list[Implication], more: list[Implication], roles: set[str], others: set[str]
) -> None:
    before = closure(roles, implied_by(pairs))
    assert before <= closure(roles | others, implied_by([*pairs, *more]))


@given(_PAIRS, _ROLES)
def test_each_role_that_is_reached_says_by_which_it_came(pairs: list[Implication], role: str) -> None:
    implied = implied_by(pairs)
    found = reached(role, implied)
    assert found[0] == (role, None)
    assert {role_id for role_id, _ in found} == closure([role], implied)
    assert len(found) == len(set(found))
    for role_id, prior_id in found[1:]:
        assert prior_id is not None
        assert role_id in implied[prior_id]
        assert prior_id in closure([role], implied)


@given(_PAIRS, _ROLES, _ROLES)
def test_who_implies_a_role_is_who_reaches_it(pairs: list[Implication], one: str, other: str) -> None:
    unique = list({(pair.prior_id, pair.implied_id): pair for pair in pairs}.values())
    assert (one in closure([other], priors_of(unique))) is (other in closure([one], implied_by(unique)))
