"""Telling silence of gateways from silence of the broker, and losing a partition."""

from __future__ import annotations

import pytest

from warren_shared.contracts.rpc import Failed

from .presence_driver import Driver, Reports


@pytest.fixture
def gateway() -> Reports:
    return Reports("g1")


@pytest.fixture
def fresh() -> Driver:
    """A process that has had no delivery yet."""
    return Driver()


@pytest.fixture
def driver(gateway: Reports) -> Driver:
    """A process that knows one gateway with one member."""
    driver = Driver()
    driver.settled(gateway)
    driver.feed(gateway.joined("c1"))
    driver.pushes()
    return driver


class TestNoFalseExpiry:
    def test_nobody_expires_while_the_broker_is_away(self, driver: Driver) -> None:
        driver.pass_time_alone(50)

        assert driver.members() == ["c1"]
        assert driver.pushes() == []

    def test_gateways_have_time_to_come_back_after_the_broker(self, driver: Driver, gateway: Reports) -> None:
        driver.pass_time_alone(20)
        driver.probes.clear()
        driver.pass_time(8.5)
        assert driver.members() == ["c1"]

        driver.feed(gateway.beat())
        driver.pass_time(8)

        assert driver.pushes() == []

    def test_gateways_that_do_not_come_back_after_the_broker_expire(self, driver: Driver) -> None:
        driver.pass_time_alone(20)
        driver.probes.clear()

        driver.pass_time(11)

        assert driver.members() == []
        assert driver.pushes() == [("leave", "room", "c1")]

    def test_a_process_that_stood_still_reads_the_beats_it_missed_before_it_concludes_anything(
        self, driver: Driver, gateway: Reports
    ) -> None:
        driver.now += 30

        driver.tick()
        driver.feed(gateway.beat())
        driver.pass_time(5)

        assert driver.members() == ["c1"]
        assert driver.pushes() == []

    def test_a_backlog_does_not_make_gateways_look_silent(self, driver: Driver, gateway: Reports) -> None:
        for _ in range(40):
            driver.pass_time_alone(1)
            driver.feed(gateway.joined("c1", f"room{driver.now}"))
        driver.return_probes()

        assert driver.members() == ["c1"]
        assert [push for push in driver.pushes() if push[0] == "leave"] == []

    def test_a_beat_that_is_queued_behind_a_slow_probe_still_counts(self, driver: Driver, gateway: Reports) -> None:
        """What was silent for long enough when the probe returned was not yet when it was sent."""
        driver.feed(gateway.beat())
        driver.pass_time(8.5)
        driver.pass_time_alone(1.5)
        driver.feed(*driver.probes[:1], gateway.beat())
        del driver.probes[:1]
        driver.pass_time(2)

        assert driver.members() == ["c1"]

    def test_a_pause_of_broker_and_gateways_alike_costs_nobody_its_place(
        self, driver: Driver, gateway: Reports
    ) -> None:
        """A broker under alarm blocks all publishers; probes and beats flow again in any order."""
        driver.pass_time_alone(15)
        driver.return_probes()
        driver.pass_time(2)
        driver.feed(gateway.beat())

        assert driver.members() == ["c1"]
        assert driver.pushes() == []

    def test_all_gateways_dead_and_this_the_only_process_still_expires_them(self, driver: Driver) -> None:
        driver.pass_time(10)

        assert driver.partition.num_gateways == 0
        assert driver.pushes() == [("leave", "room", "c1")]


class TestLosingThePartition:
    def test_a_process_that_gets_no_deliveries_concludes_nothing_and_in_the_end_forgets(self, driver: Driver) -> None:
        driver.pass_time_alone(59)
        assert driver.partition.active

        driver.pass_time_alone(2)

        assert not driver.partition.active
        assert driver.partition.occupancy.size == 0
        assert driver.pushes() == []
        driver.probes.clear()
        driver.pass_time_alone(10)
        assert driver.probes == []

    def test_a_process_that_gets_no_deliveries_asks_nobody(self, driver: Driver) -> None:
        driver.feed(Reports("g2").beat())
        driver.asked()
        driver.pass_time_alone(2)
        driver.asked()

        driver.pass_time_alone(55)

        assert driver.asked() == []

    def test_what_comes_after_that_begins_anew(self, driver: Driver, gateway: Reports) -> None:
        driver.pass_time_alone(61)
        driver.asked()

        driver.feed(gateway.beat())

        assert [asked for asked, _ in driver.asked()] == [None]
        assert driver.partition.taken_over == 2

    def test_a_probe_of_an_earlier_tenure_or_of_another_process_proves_nothing(
        self, driver: Driver, gateway: Reports
    ) -> None:
        driver.pass_time_alone(61)
        old = list(driver.probes)
        driver.probes.clear()

        driver.feed(gateway.beat())
        driver.asked()
        driver.feed(*old)
        driver.ask()
        driver.pass_time_alone(3.5)

        assert driver.partition.filling

    def test_a_process_that_gets_its_partition_back_asks_and_announces_who_is_certain_to_have_left(
        self, driver: Driver, gateway: Reports
    ) -> None:
        """Who has come was announced by the process that read of it."""
        driver.feed(gateway.joined("c2"))
        driver.pass_time_alone(10)
        driver.probes.clear()  # another process read them
        driver.pushes()

        driver.pass_time(1, beating=[gateway])
        ((asked, sync),) = driver.asked()
        driver.feed(gateway.holds("c2", "c3", sync=sync), gateway.synced(sync))
        driver.pass_time(1, beating=[gateway])

        assert asked is None
        assert driver.members() == ["c2", "c3"]
        assert driver.pushes() == [("leave", "room", "c1")]

    def test_a_leave_after_the_partition_came_back_is_no_repetition_of_one_before(
        self, driver: Driver, gateway: Reports
    ) -> None:
        driver.feed(gateway.left("c1"))
        driver.pass_time_alone(10)
        driver.probes.clear()  # another process read them, and that the client was back
        driver.pass_time(1, beating=[gateway])
        ((_, sync),) = driver.asked()
        driver.feed(gateway.holds("c1", sync=sync))
        driver.pushes()

        driver.feed(gateway.left("c1"))

        assert driver.pushes() == [("leave", "room", "c1")]

    def test_a_new_consumer_has_all_gateways_asked_and_recognises_what_is_delivered_again(
        self, driver: Driver, gateway: Reports
    ) -> None:
        driver.feed(gateway.left("c1"), gateway.joined("c2"))
        driver.pushes()
        driver.pass_time_alone(0.5)
        (stale,) = driver.probes
        driver.probes.clear()

        driver.effects += driver.partition.reconnected(driver.now)
        driver.feed(stale, gateway.left("c1"), gateway.joined("c2"))
        ((asked, sync),) = driver.asked()
        driver.feed(gateway.holds("c2", sync=sync), gateway.synced(sync))
        driver.pass_time(1, beating=[gateway])

        assert asked is None
        assert driver.members() == ["c2"]
        assert driver.pushes() == []
        assert driver.asked() == []

    def test_gateways_have_their_full_time_again_after_a_new_consumer(self, driver: Driver) -> None:
        driver.pass_time_alone(8.5)
        driver.probes.clear()
        driver.effects += driver.partition.reconnected(driver.now)

        driver.pass_time(8.5)
        assert driver.pushes() == []
        driver.pass_time(1.5)

        assert driver.pushes() == [("leave", "room", "c1")]

    def test_a_new_consumer_of_a_process_that_had_nothing_yet_changes_nothing(self, fresh: Driver) -> None:
        assert fresh.partition.reconnected(fresh.now) == []
        assert not fresh.partition.active

    def test_queries_that_wait_when_the_partition_is_lost_fail(self, fresh: Driver) -> None:
        fresh.ask()

        fresh.pass_time_alone(4.25)

        assert fresh.answers() == [Failed(code=100, reason="internal server error", temporary=True)]

    def test_a_lost_probe_is_reason_enough_to_ask_all_gateways(self, driver: Driver, gateway: Reports) -> None:
        driver.pass_time(2, beating=[gateway])
        driver.pass_time_alone(1)
        driver.probes.pop(0)
        driver.return_probes()

        assert [asked for asked, _ in driver.asked()] == [None]
        assert driver.partition.filling

    @pytest.mark.parametrize("pause", [5.5, 20])
    def test_a_long_pause_between_probes_is_reason_enough(self, driver: Driver, gateway: Reports, pause: float) -> None:
        """In it the broker may have taken this process for dead and another for the consumer."""
        driver.pass_time(2, beating=[gateway])
        driver.now += pause
        driver.tick()
        driver.return_probes()

        assert [asked for asked, _ in driver.asked()] == [None]

    def test_a_short_pause_between_probes_is_not(self, driver: Driver, gateway: Reports) -> None:
        driver.pass_time(2, beating=[gateway])
        driver.now += 4
        driver.tick()
        driver.return_probes()

        assert driver.asked() == []

    def test_a_probe_that_is_delivered_again_changes_nothing(self, driver: Driver, gateway: Reports) -> None:
        driver.pass_time_alone(0.5)
        (probe,) = driver.probes
        driver.pass_time(2, beating=[gateway])

        driver.feed(probe, probe)
        driver.pass_time(2, beating=[gateway])

        assert driver.asked() == []
        assert not driver.partition.filling
