"""Mutations of reads, the private stream, connections and refusals."""

from __future__ import annotations

from tests.simulation.mutation import Edit, Mutation

EXCHANGE_MUTATIONS = (
    Mutation(
        "a proof is written whatever position was written before",
        ("a",),
        (
            Edit(
                "actors/snapshot_fetcher/writer.py",
                "if published.legs != known.legs or published.leverage != known.leverage:\n",
                "if published.leverage != known.leverage:\n",
            ),
        ),
    ),
    Mutation(
        "an older read is never taken",
        ("f", "a", "e"),
        (
            Edit(
                "brain/positions/merging.py",
                "seconded = dispute.by_read and _well_after(sent, dispute.at)",
                "seconded = False",
            ),
        ),
    ),
    Mutation(
        "an older read is taken for a late one, however late it was sent",
        ("a", "e"),
        (
            Edit(
                "brain/positions/merging.py",
                "    if dispute is None:\n        return Rule.DISCREPANCY\n",
                "    if dispute is None:\n        return Rule.RACE\n",
            ),
        ),
    ),
    Mutation(
        "what is in dispute is proven all the same",
        ("a", "e"),
        (
            Edit(
                "brain/positions/symbol_state.py",
                " not in _WHOLE or state.disputed_at is not None:",
                " not in _WHOLE:",
            ),
        ),
    ),
    Mutation(
        "dates ahead of the exchange's clock are merged",
        ("a", "e", "f", "h"),
        (
            Edit(
                "clocks/clock_offset.py",
                "return None if at_most_ms is None else at_most_ms + _MACHINES_APART_MS",
                "return None",
            ),
        ),
    ),
    Mutation(
        "the flat row of BOTH is merged beside the legs",
        ("h", "f"),
        (
            Edit(
                "brain/positions/merging.py",
                "if row.leg is Leg.BOTH and not row.amount and any(",
                "if row.leg is Leg.BOTH and row.amount and any(",
            ),
        ),
    ),
    Mutation(
        "a listen key that was proven once stays proven",
        ("h",),
        (
            Edit(
                "actors/user_stream/connection.py",
                "await trio.sleep_until(asked_sec + KEEP_ALIVE_SEC)",
                "await trio.sleep_until(asked_sec + 30 * KEEP_ALIVE_SEC)",
            ),
        ),
    ),
    Mutation(
        "a divergence leaves the connection as it is",
        ("h", "a"),
        (
            Edit(
                "actors/user_stream/actor.py",
                'self._lose("diverged from the exchange")',
                "pass",
            ),
        ),
    ),
    Mutation(
        "connections are made as fast as they end",
        ("h",),
        (
            Edit(
                "actors/user_stream/reconnect_pauses.py",
                "pause_sec = self._delays.next_sec()",
                "pause_sec = 0.1",
            ),
            Edit(
                "exchange/connection_limit.py",
                "if len(self._opened_sec) < most:",
                "if most:",
            ),
        ),
    ),
    Mutation(
        "a refusal without a moment is asked again at once",
        ("h",),
        (
            Edit(
                "exchange/request_gate.py",
                "max(asked_sec, pauses.after(self._refusals[pauses]))",
                "max(asked_sec, 0.2)",
            ),
        ),
    ),
    Mutation(
        "the firewall's 403 is an error like any other",
        ("h",),
        (
            Edit(
                "exchange/refusals.py",
                "elif status != _FORBIDDEN or error is not None:",
                "else:",
            ),
        ),
    ),
    Mutation(
        "one unreadable row of positions fails the whole read",
        ("f",),
        (
            Edit(
                "exchange/rest.py",
                "        return PositionsRead(positions_wire.tradable_rows(rows, unreadable),",
                "        if unreadable:\n"
                '            raise ExchangeUnavailable("unreadable answer")\n'
                "        return PositionsRead(positions_wire.tradable_rows(rows, unreadable),",
            ),
        ),
    ),
    Mutation(
        "one unreadable symbol of exchangeInfo fails the whole answer",
        ("f",),
        (
            Edit(
                "exchange/rest.py",
                "        self._listed = (*rules,",
                "        if unreadable:\n"
                '            raise ExchangeUnavailable("unreadable answer")\n'
                "        self._listed = (*rules,",
            ),
        ),
    ),
    Mutation(
        "an unreadable mark price ends the connection",
        ("h",),
        (
            Edit(
                "exchange/market_stream.py",
                "    except msgspec.DecodeError:\n        rows = list(filter(None, map(_readable, raws)))\n",
                '    except msgspec.DecodeError:\n        raise UnreadableEvent("mark prices") from None\n',
            ),
            Edit(
                "exchange/market_stream.py",
                "    except ValueError:\n        return False\n",
                '    except ValueError:\n        raise UnreadableEvent("mark prices") from None\n',
            ),
        ),
    ),
    Mutation(
        "positions are asked for by a version that was removed",
        ("f",),
        (
            Edit(
                "exchange/rest.py",
                "                self._uses_v3 = True\n",
                "                raise\n",
            ),
        ),
    ),
)
