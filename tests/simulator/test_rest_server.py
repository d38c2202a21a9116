from __future__ import annotations

import httpx
import pytest
import trio

from simulator import SimulatedExchange, UserEvent, running, serve
from simulator.faults import RestFault
from tests.simulator.clients import HttpClient, Recorder, error_code

POSITIONS = "/fapi/v2/positionRisk"
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}


async def test_signed_requests_over_one_kept_alive_connection(client: HttpClient) -> None:
    ports = set()
    for _ in range(3):
        response = await client.signed("GET", POSITIONS)
        assert response.status_code == 200
        assert len(response.json()) == 569
        ports.add(response.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(ports) == 1
    assert response.headers["X-MBX-USED-WEIGHT-1M"] == "15"


async def test_an_order_may_come_as_a_form(client: HttpClient) -> None:
    query = (await client.signed("POST", "/fapi/v1/order", **ORDER)).request.url.query
    response = await client.http.post(
        "/fapi/v1/order",
        content=query,
        headers={
            "X-MBX-APIKEY": client.exchange.api_key,
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    assert response.status_code == 200
    assert len(client.exchange.orders) == 2


async def test_every_request_is_recorded_with_weight_and_status_but_without_its_signature(
    client: HttpClient,
) -> None:
    await client.signed("GET", POSITIONS, symbol="BTCUSDT")
    await client.keyed("GET", "/fapi/v1/nothing")
    first, second = client.exchange.requests.records()
    assert (first.method, first.path, first.weight, first.status) == ("GET", POSITIONS, 5, 200)
    assert first.query.startswith("symbol=BTCUSDT&timestamp=")
    assert "signature" not in first.query
    assert 0 < first.on_socket_ms <= first.wall_time_ms + 1
    assert (second.path, second.status) == ("/fapi/v1/nothing", 404)
    assert client.exchange.requests.records(path=POSITIONS) == [first]
    assert client.exchange.requests.records(since_ms=first.wall_time_ms + 10**6) == []


async def test_latency_passes_before_and_after_the_request_takes_effect(client: HttpClient) -> None:
    client.exchange.faults.rest_latency_ms = 120
    effects: list[float] = []

    class Witness(Recorder):
        def deliver(self, event: UserEvent) -> None:
            effects.append(trio.current_time())

    Witness(client.exchange)
    start = trio.current_time()
    await client.signed("POST", "/fapi/v1/order", **ORDER)
    answered = trio.current_time()
    assert effects[0] - start >= 0.06
    assert answered - effects[-1] >= 0.06


@pytest.mark.parametrize(("fault", "status"), [("429", 429), ("418", 418), ("5xx", 503)])
async def test_refusing_faults_answer_in_binances_form_and_leave_no_effect(
    client: HttpClient, fault: RestFault, status: int
) -> None:
    client.exchange.faults.rest_faults_next = [fault]
    response = await client.signed("POST", "/fapi/v1/order", **ORDER)
    assert response.status_code == status
    assert error_code(response) in (-1003, -1001)
    assert ("Retry-After" in response.headers) == (status in (418, 429))
    assert client.exchange.open_positions() == []


async def test_a_418_goes_on_until_its_ban_is_over(client: HttpClient) -> None:
    client.exchange.faults.rest_faults_next = ["418"]
    await client.signed("GET", POSITIONS)
    again = await client.signed("GET", POSITIONS)
    assert (again.status_code, again.headers["Retry-After"]) == (418, "120")
    client.exchange.weights.lift_ban()
    assert (await client.signed("GET", POSITIONS)).status_code == 200


@pytest.mark.parametrize(
    ("fault", "error"),
    [("truncated", httpx.RemoteProtocolError), ("reset", httpx.ReadError), ("hang", httpx.ReadTimeout)],
)
async def test_transport_faults_break_the_answer_and_not_the_order(
    client: HttpClient, fault: RestFault, error: type[httpx.HTTPError]
) -> None:
    client.exchange.faults.rest_faults_next = [fault]
    client.http.timeout = httpx.Timeout(0.1)
    with pytest.raises(error):
        await client.signed("POST", "/fapi/v1/order", **ORDER)
    assert len(client.exchange.open_positions()) == 1
    client.http.timeout = httpx.Timeout(5)
    assert (await client.signed("GET", POSITIONS)).status_code == 200


async def test_a_fault_may_strike_before_the_order_takes_effect(client: HttpClient) -> None:
    client.exchange.faults.rest_faults_next = ["reset"]
    client.exchange.faults.fail_before_effect = True
    with pytest.raises(httpx.ReadError):
        await client.signed("POST", "/fapi/v1/order", **ORDER)
    assert client.exchange.open_positions() == []


async def test_a_body_can_be_something_else_than_json(client: HttpClient) -> None:
    client.exchange.faults.rest_faults_next = ["not_json"]
    response = await client.signed("GET", POSITIONS)
    assert response.status_code == 200
    assert response.text.startswith("<html>")


async def test_faults_can_be_kept_to_some_paths_and_come_at_a_rate(client: HttpClient) -> None:
    faults = client.exchange.faults
    faults.rest_fault_paths = [POSITIONS]
    faults.rest_fault_rates = {"5xx": 0.5}
    assert {(await client.keyed("GET", "/fapi/v1/time")).status_code for _ in range(20)} == {200}
    assert {(await client.signed("GET", POSITIONS)).status_code for _ in range(20)} == {200, 503}


async def test_two_simulators_in_one_process_do_not_meet() -> None:
    async with running() as one, running() as other, httpx.AsyncClient() as http:
        answer = await HttpClient(one, http).signed(
            "POST", f"{one.addresses.rest_url}/fapi/v1/order", **ORDER
        )
        assert answer.status_code == 200
        assert len(one.exchange.open_positions()) == 1
        assert other.exchange.open_positions() == []
        assert other.exchange.requests.total == 0


async def test_the_ports_are_those_asked_for_and_are_free_again_afterwards() -> None:
    async with running() as first:
        rest_port = int(first.addresses.rest_url.rpartition(":")[2])
    async with trio.open_nursery() as nursery:

        async def start(task_status: trio.TaskStatus[object]) -> None:
            await serve(SimulatedExchange(), rest_port=rest_port, latency_ms=3, task_status=task_status)

        addresses = await nursery.start(start)
        assert addresses.rest_url == f"http://127.0.0.1:{rest_port}"
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{addresses.rest_url}/fapi/v1/ping")).json() == {}
        nursery.cancel_scope.cancel()


async def test_it_listens_on_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback only"):
        await serve(SimulatedExchange(), host="0.0.0.0")  # noqa: S104 - refused is what is tested
