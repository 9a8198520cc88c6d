"""Attacks on accounts: deleting, exporting, and reaching into somebody else's."""

from __future__ import annotations

from tests.security.attacks_browser import EVIL, PUBLIC
from tests.security.attacks_site import Site, who, who_by

ACCOUNT = "/api/account"


async def test_an_account_is_deleted_without_its_owners_word(site: Site) -> None:
    ann = await site.signed_in("ann")
    for body in ({}, {"confirm": ""}, {"confirm": True}, {"confirm": "ann"}, {"confirm": "yes"}):
        answer = await ann.fetch(ACCOUNT, method="DELETE", json=body)
        assert answer.error == (400, "invalid_request", "confirm"), body
    assert (await ann.fetch(ACCOUNT, method="DELETE")).status == 415
    assert await who(ann) == site.her_id


async def test_somebody_elses_account_is_deleted(site: Site) -> None:
    await site.give_ann()
    ann, eve = await site.signed_in("ann"), await site.signed_in("eve")
    body = {"confirm": site.her_id, "user": site.her_id, "owner": site.her_id}
    answer = await eve.fetch(ACCOUNT, method="DELETE", json=body)
    assert answer.error == (400, "invalid_request", "confirm")
    for path in (f"{ACCOUNT}/{site.her_id}", f"{ACCOUNT}?user={site.her_id}"):
        assert (await eve.fetch(path, method="DELETE", json=body)).status in {400, 404}, path
    assert await who(ann) == site.her_id
    assert (await ann.fetch("/api/projects/p1")).status == 200


async def test_a_key_without_the_account_deletes_or_exports_it(site: Site) -> None:
    ann = await site.signed_in("ann")
    key = await site.key(ann, "chat", "projects", "proxy")
    program = ann.another()
    bearer = {"authorization": f"Bearer {key}"}
    body = {"confirm": site.her_id}
    refused = (403, "scope_missing", None)
    assert (
        await program.fetch(ACCOUNT, by=None, method="DELETE", json=body, **bearer)
    ).error == refused
    assert (await program.fetch(f"{ACCOUNT}/export", by=None, **bearer)).error == refused
    assert await who_by(ann, key) == site.her_id


async def test_another_site_deletes_the_account(site: Site) -> None:
    ann = await site.signed_in("ann", knows_same_site=False, says_where_from=False)
    body = {"confirm": site.her_id}
    answer = await ann.fetch(f"{PUBLIC}{ACCOUNT}", by=EVIL, method="DELETE", json=body)
    assert answer.error == (403, "cross_origin", None)
    assert await who(ann) == site.her_id


async def test_an_export_holds_something_of_somebody_else(site: Site) -> None:
    await site.give_ann()
    eve = await site.signed_in("eve")
    answer = await eve.fetch(f"{ACCOUNT}/export?user={site.her_id}")
    assert answer.status == 200
    assert b"Her plan" not in answer.body
    assert site.her_id.encode() not in answer.body


async def test_an_account_is_deleted_while_another_works(site: Site) -> None:
    """Eve deletes hers: nothing of Ann's goes with it."""
    await site.give_ann()
    ann, eve = await site.signed_in("ann"), await site.signed_in("eve")
    key = await site.key(ann, "projects")
    answer = await eve.fetch(ACCOUNT, method="DELETE", json={"confirm": site.eves_id})
    assert answer.status == 200
    assert (await who(ann), await who_by(ann, key)) == (site.her_id, site.her_id)
    assert (await ann.fetch("/api/projects/p1/files/index.html")).status == 200
    assert await who(eve) is None
