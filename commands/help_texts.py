"""Texts of `--help`: the purpose of each command, examples to copy, and the exit codes.

Lines fit a terminal of 80 columns: nothing wraps them again.
"""

from __future__ import annotations

TOP = """\
The safety layer between a trading pipeline and Binance USDⓈ-M Futures:
for every plan a permit, allow with a safe quantity or deny with a reason.

  position-state-brain demo --seconds 20   see it work, on this machine alone
  position-state-brain check               check what it needs
  position-state-brain run                 the daemon
  position-state-brain status              state of a running daemon
  position-state-brain proof               prove that a running one works
  position-state-brain explain PLAN_ID     what became of a plan, and why
  position-state-brain compare ROLE        a shadow beside the one that acts"""

TOP_END = """\
COMMAND --help shows more, with examples. Settings come from the environment;
deploy/position-state-brain.env lists them all. The command that
deploy/install.sh puts into /usr/local/bin gives each command the settings and
secrets that the systemd unit gives the daemon:

  sudo position-state-brain check

Exit code 78: a setting is wrong, and one line says which. NO_COLOR=1 switches
colours off."""

RUN = """\
Runs the service until SIGTERM or SIGINT, as the systemd unit does. It waits,
not ready, for a Redis or a Binance that is away. All settings come from the
environment.

  REDIS_URL=redis://localhost:6379/0 \\
    BINANCE_API_KEY=… BINANCE_API_SECRET=… position-state-brain run

Exit code 0: a clean stop. 1: restarting parts of it did not help, and systemd
starts it again. 78: a setting is wrong."""

DEMO = """\
Runs everything on this machine: an exchange stand-in with the full list of
symbols, a private Redis, the daemon exactly as `run` starts it, and a
pipeline that publishes plans with kill scores. The daemon publishes the
universe, judges the plans as Governor and executes them itself; roles that are
left out of --roles are played, and `--roles ""` plays all of them. It touches
neither a Redis nor a Binance account that the environment names, and leaves
nothing behind.

  position-state-brain demo
  position-state-brain demo --seconds 20 --export decisions.jsonl

Exit code 1: an answer was not as expected, or the ledger does not agree with
the exchange. 75: inconclusive, this machine was too busy."""

CHECK = """\
Checks all that the service needs, a line each, with a fix for what is
wrong: settings, Redis (version, append-only file, eviction, clock), streams
and consumer groups, the universe of symbols that may be opened, Binance
(reachable, clock, key and its rights, position mode, streams, request
weight), and whether another service writes ledgers or permits. It changes
nothing, sends no order, and uses about 8 of Binance's 2400 request weight a
minute. Run it before the first start and at any suspicion of a fault; the
daemon may be running.

  position-state-brain check
  position-state-brain check --watch 60    look longer for a foreign writer
  position-state-brain check --json |
    jq '.findings[] | select(.verdict == "failed")'

--measure instead measures at Binance what its documents leave open, for about
two minutes, and prints a Markdown table: weights by the header, pings, a
made-up listen key, mark prices, rows of positions. It uses about 300 request
weight. It reads, and extends or makes the account's listen key. Only after a
question at the terminal does it delete that key (--delete-key agrees where
there is no terminal), or, with --order, send one order of the least size and
its close; with real money the symbol has to be typed. Use the demo exchange.

  position-state-brain check --measure
  position-state-brain check --measure --order BTCUSDT

It cannot see a foreign writer that imitates this service in every field, nor
one that left no trace.

Exit code 1: something failed, or could not be measured. Warnings do not
count."""

STATUS = """\
Shows the state of a running daemon, once a second until Ctrl-C: ready or why
not, snapshots and their age, trust in the private stream, decisions and what
they were, ledgers that disagree with the exchange, request weight, lease, and
the supervision tree with its restarts. It reads from the daemon over HTTP
alone, and changes nothing.

  position-state-brain status
  position-state-brain status --once
  position-state-brain status --url http://127.0.0.1:8046
  position-state-brain status --json | jq -r '.reasons[]'

Where standard output is no terminal, it prints once.

Exit code 1: no daemon answers."""

PROOF = """\
Proves in eight points that a running deployment works: the service, and
that it may open symbols, its metrics, fresh snapshots, the ledger, permits,
decisions that come out the same again, a plan's way through the gate, and a
summary.

The plan of point 7 is a probe that can only be denied: its timestamp is of
the year 2000, and a plan's age is checked before anything could allow it;
its symbol is on no exchange. It leaves what every denied plan leaves: its
entry, its audit record, the mark that it was decided, and for one permit
lifetime its permit, a deny.

  position-state-brain proof
  position-state-brain proof --json | jq .ok
  position-state-brain proof --no-probe    publish nothing

Exit code 1: a point failed."""

EXPLAIN = """\
Explains the way of a plan through the chain: what each role has left of it,
or why nothing is there (not yet, trimmed, off, another service's), the answer
and its reason in words, every check in order with the numbers it compared,
and one time line from the intent to the booking, with the time each step took.

The plan can be named by its id, by an order of it (the exchange's id or the
client order id), by the intent it was made of (its stream entry, or the
intent_id of an exit intent), or by its own entry. The beginning of an id
suffices, and spaces or quotes around it do not matter. An intent that was
refused, or not read yet, is explained by itself.

Of a symbol: position, ledger and hold as they are, what the reconcile engine
found, what a person can do, and all that happened on one time line: events of
ledger, holds, evidence and repairs, and the orders that they name.

Reads Redis as REDIS_* and P33_KEY_PREFIX say, and changes nothing there.

  position-state-brain explain 7f3a90c1
  position-state-brain explain 7f3a90c1 --json | jq .checks
  position-state-brain explain 1795267684401-0
  position-state-brain explain p33-ee49ff32
  position-state-brain explain BTCUSDT

Exit code 1: there is no trace of it, or several ids begin so."""

REPLAY = """\
Runs the decisions in the audit stream through the decision function again.
Without --set every one must come out the same to the last digit. With --set,
shows which answers other settings would have changed:

  position-state-brain replay
  position-state-brain replay --since 3600 \\
    --set P33_STALE_THRESHOLD_SEC=5 P33_COOLDOWN_SEC=30
  position-state-brain replay --last 10000 --export decisions.jsonl
  position-state-brain replay --file decisions.jsonl

--governor replays the Governor's judgements instead: statistics, z and cut-off
must come out the same to the last bit. A GOV_, RISK_ or P31_ setting chooses
them by itself:

  position-state-brain replay --governor --last 1000
  position-state-brain replay --set GOV_MAX_EXEC_PER_HOUR=1 GOV_Z_ALPHA=0.2

--role replays another role's decisions: the bridge's answers to intents, the
orders that the executor drafted of granted plans, the refreshes of the
universe, and the evidence that the reconcile engine weighed. --shadow reads
the records of a role that runs in shadow, or of the executor's dry run:

  position-state-brain replay --role executor --last 1000
  position-state-brain replay --set EXEC_MAX_NOTIONAL_USDT=250
  position-state-brain replay --role universe --shadow

Exit code 1: a decision differs though no setting was changed, a record cannot
be read, or there are none."""

COMPARE = """\
Compares the decisions of a role that runs in shadow here with those of the
service that plays the role, by what that has left in Redis: agreement in per
cent, and each difference with our reason and theirs.

An answer of theirs is proven (it said so, or what followed was not possible
otherwise), read from an absence (a trace would be there), or unknown; unknown
ones are counted apart and with the reason. Blocks of a Governor live for an
hour and permits for a minute, results for as long as their stream keeps them:
compare often, or soon.

  position-state-brain compare governor --since 3600
  position-state-brain compare governor --last 500 --json | jq .differences

Exit code 0: all that could be compared agrees. 1: a difference, or nothing
could be compared."""

TRADING_STATE = """\
Shows the trading state, the kill switches that are on, and today's
auto-disarm; with a state, sets it. Governor and executor obey the state:

  active    every order that the other checks let pass
  reducing  no opens and adds; closes go on
  halted    no order at all, closes included

Shows what it is about to do and asks, unless --yes is given. Each change is an
event of governor.events with its reason and who made it. An auto-disarm sets
reducing, once a day at most; only this command leads back to active.

  position-state-brain trading-state
  position-state-brain trading-state reducing --reason "news at 14:00"
  position-state-brain trading-state active --reason "looked at, all well"

Exit code 1: nothing was changed, and one line says why. 2: no --reason.
3: Redis did not answer to the write, which may have been done."""

HOLD = """\
Holds a symbol: none of its plans is permitted and none is executed, closes
included, until the symbol is released. The hold has no expiry, and replaces
one of an operator that stands; one of the executor or the reconcile engine,
which its owner loses then, only with --force. Shows the present hold and asks,
unless --yes is given. Leaves an event HOLD_SET on reconcile.events.

  position-state-brain hold BTCUSDT --reason "contract change on Friday"
  position-state-brain hold BTCUSDT --force --reason "stays after the repair"

Exit code 1: nothing was changed, and one line says why. 3: Redis did not
answer to the write, which may have been done."""

RELEASE = """\
Releases a symbol that an operator holds. A hold of the executor or the
reconcile engine is lifted by its owner; --force lifts it all the same, after
showing what it is for. Asks, unless --yes is given. Leaves an event
HOLD_CLEARED on reconcile.events.

  position-state-brain release BTCUSDT --reason "the change is over"
  position-state-brain release BTCUSDT --force --reason "order looked up"

Exit code 1: nothing was changed, and one line says why. 3: Redis did not
answer to the write, which may have been done."""

REPUBLISH = """\
Publishes the original of a dead letter on its stream again, once: the letter is
named by its own id on apply.plan.dead or apply.result.dead. Shows it and asks,
unless --yes is given. Refused where the plan is decided or the result booked,
where that is no longer known (of a plan or a refusal that is older than
P33_DECISION_TTL_SEC), where the letter kept less than the whole original, and
where it would be a dead letter again. Leaves an event OPERATOR_ACT on
p33.events.

  redis-cli XREVRANGE quantum:stream:apply.result.dead + - COUNT 10
  position-state-brain republish apply.result 1760000000000-0 \\
    --reason "ledger repaired"

Exit code 1: nothing was published, and one line says why. 3: Redis did not
answer to the write, which may have been done."""

ACKNOWLEDGE = """\
Marks a notice as seen: the page of notices and /status show by whom and until
when, and it is not sent in that time, not even if it begins again. Its end is
sent all the same. It changes nothing else, and asks nothing. Leaves an event
NOTICE_SEEN on p33.events.

  position-state-brain acknowledge not_ready --by Ann --for 30m
  position-state-brain acknowledge case BTCUSDT --by Ann --for 2h

Exit code 1: nothing was changed, and one line says why. 3: Redis did not
answer to the write, which may have been done."""

SIMULATE = """\
Runs the Binance stand-in alone, on loopback, until SIGTERM or SIGINT. The
first printed line has its addresses.

  position-state-brain simulate-exchange --rest-port 9001 --stream-port 9002

  BINANCE_REST_URL=http://127.0.0.1:9001 BINANCE_WS_URL=ws://127.0.0.1:9002 \\
    BINANCE_API_KEY=simulator-api-key BINANCE_API_SECRET=simulator-api-secret \\
    position-state-brain run"""

COMPLETION = """\
Prints a script that makes the shell complete commands, options and files.

  position-state-brain completion bash \\
    > ~/.local/share/bash-completion/completions/position-state-brain
  position-state-brain completion zsh > "${fpath[1]}/_position-state-brain"
  position-state-brain completion fish \\
    > ~/.config/fish/completions/position-state-brain.fish"""
