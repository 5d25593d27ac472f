"""The outbox at the desk: what was parked is listed, and sent once more under its key, and the journal says by whom."""

from pathlib import Path

import pytest

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.inputs import Admitted, Requeued
from service_monitoring.errors import NotFound, Refused
from service_monitoring.ports import Settlement
from service_monitoring.testing.store_laws import a_commit, a_message, a_notice, a_stamp, an_incident
from tests.web.desks import told


async def test_a_parked_notice_is_owed_again_under_its_key_and_the_journal_says_by_whom(tmp_path: Path) -> None:
    notices = [a_notice(an_incident(), ordinal=number) for number in (1, 2)]
    parked, other = notices
    async with told(tmp_path / "data", Configuration()) as house:
        store, desk = house.store, house.desk
        await store.commit(a_commit(1, notices=notices))
        (lease,) = await store.claim([a_message(parked, "first")])
        await store.settle([Settlement(lease.key, lease.token, "parked", "404 Not Found", a_stamp(2).at)])
        (row,) = await desk.outbox(states=["parked"], limit=10)
        assert (row.key, row.attempts, row.detail, row.next_at) == (parked.key, 1, "404 Not Found", None)
        assert {each.state for each in await desk.outbox(states=[], limit=10)} == {"parked", "owed"}
        with pytest.raises(Refused, match="is owed: only a parked one"):
            await desk.requeue(Requeued(other.key, "ada"))
        with pytest.raises(NotFound):
            await desk.requeue(Requeued("", "ada"))
        again = await desk.requeue(Requeued(parked.key[:20], "ada", "the token was renewed"))
        assert (again.key, again.state, again.attempts) == (parked.key, "owed", 0)
        found = {due.notice.key: due for due in await store.due(10)}
        assert found[parked.key].message == a_message(parked, "first")
        (second,) = await store.claim([a_message(parked, "second")])
        assert (second.token > lease.token, second.message) == (True, a_message(parked, "first"))
        records = [each.record for each in await store.journal()]
        audit = [each.input for each in records if isinstance(each, Admitted) and isinstance(each.input, Requeued)]
        assert audit == [Requeued(parked.key, "ada", "the token was renewed")]
