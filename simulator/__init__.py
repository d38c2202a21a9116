"""A Binance USDⓈ-M Futures stand-in: one account and its market, over HTTP and WebSocket or in process.

It shares no code with what is tested against it. ``SimulatedExchange`` is the synchronous core; ``serve`` and
``running`` put it on loopback ports; ``RestApi`` answers requests in process; ``external_events`` moves
positions as people, liquidations and stop orders do; ``Faults`` are the faults that can be injected. What
happens later happens in ``SimulatedExchange.advance``: ``keep_advancing`` calls it on time, real or virtual.
"""

from simulator.events import UserEvent
from simulator.exchange import SimulatedExchange
from simulator.faults import Faults
from simulator.history import PositionChange, PositionHistory
from simulator.orders import LimitOrder, MarketOrder, NewOrder, Order
from simulator.private_streams import EventSink
from simulator.rest_api import RestApi, RestRequest
from simulator.rest_failures import RestResponse
from simulator.server import RunningSimulator, SimulatorAddresses, keep_advancing, running, serve
from simulator.stream_server import StreamServer

__all__ = [
    "EventSink",
    "Faults",
    "LimitOrder",
    "MarketOrder",
    "NewOrder",
    "Order",
    "PositionChange",
    "PositionHistory",
    "RestApi",
    "RestRequest",
    "RestResponse",
    "RunningSimulator",
    "SimulatedExchange",
    "SimulatorAddresses",
    "StreamServer",
    "UserEvent",
    "keep_advancing",
    "running",
    "serve",
]
