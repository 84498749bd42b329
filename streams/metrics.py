"""What a worker counts, and what it measures of itself. No customer ever appears in a label.

Counters and histograms are added to by batch. The gauges tell of one moment: `agents.vitals` sets them whenever the
page is asked for, so that they hold nothing of partitions that went to another worker or of funders that are gone.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from streams.delays import DelayHistogram

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
PROCESS = ProcessCollector(registry=REGISTRY)
Counted = Counter

DECISIONS = Counter("loanrouter_decisions", "Decisions published.", ["status", "reason"], registry=REGISTRY)
DECISION_DELAYS = DelayHistogram(
    "loanrouter_decision_delay_seconds",
    "From the timestamp of the record that caused a decision until the decision was published.",
    registry=REGISTRY,
)
REPEATS = Counter("loanrouter_repeated_requests", "Repeated requests answered again.", registry=REGISTRY)
RELAXATIONS = Counter("loanrouter_relaxations", "Rotation rules given up in decisions.", ["rule"], registry=REGISTRY)
EXCLUSIONS = Counter("loanrouter_exclusions", "Funders excluded from decisions.", ["rule"], registry=REGISTRY)
ROUTED = Counter("loanrouter_routed", "Drawdowns routed to a funder.", ["funder"], registry=REGISTRY)
ROUTED_FEN = Counter("loanrouter_routed_fen", "Money routed to a funder.", ["funder"], registry=REGISTRY)
OUTCOMES = Counter("loanrouter_outcomes", "What became of routed drawdowns.", ["funder", "status"], registry=REGISTRY)
DEAD_LETTERS = Counter("loanrouter_dead_letters", "Records that could not be used.", ["reason"], registry=REGISTRY)
UNKNOWN_FIELDS = Counter("loanrouter_unknown_fields", "Input fields that were ignored.", ["topic"], registry=REGISTRY)
UNKNOWN_EXCLUSIONS = Counter(
    "loanrouter_unknown_exclusions", "Ids in exclude_funders that are no configured funder.", registry=REGISTRY
)
LATE_DISBURSEMENTS = Counter(
    "loanrouter_late_disbursements", "Loans disbursed after their reservation had ended.", ["funder"], registry=REGISTRY
)
CAPTURE_SIGNALS = Counter(
    "loanrouter_capture_signals", "Direct evidence of capture.", ["funder", "kind"], registry=REGISTRY
)
CAPTURE_ALERTS = Counter(
    "loanrouter_capture_alerts", "Alerts that a funder captures.", ["funder", "detector", "level"], registry=REGISTRY
)

BATCH_SECONDS = Histogram(
    "loanrouter_batch_seconds",
    "Time of one batch by stage.",
    ["agent", "stage"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
    registry=REGISTRY,
)
BATCH_RECORDS = Histogram(
    "loanrouter_batch_records", "Records of one batch.", buckets=(1, 3, 10, 30, 100, 300, 1000, 3000), registry=REGISTRY
)
BOOK_WAITS = Counter(
    "loanrouter_reservation_waits", "Times that work waited for the reservation book.", ["why"], registry=REGISTRY
)
PRODUCER_ERRORS = Counter("loanrouter_producer_errors", "Writes that Kafka did not take.", ["error"], registry=REGISTRY)
CHANGELOG_RECORDS = Counter(
    "loanrouter_changelog_records", "Records of its own changelogs that the worker read.", ["table"], registry=REGISTRY
)
REBALANCES = Counter("loanrouter_rebalances", "Times that partitions were assigned.", registry=REGISTRY)
CONFIG_REFUSED = Counter("loanrouter_config_records_refused", "Broken records of rotation-config.", registry=REGISTRY)
STATES_REFUSED = Counter(
    "loanrouter_funder_states_refused", "Broken records of funder-states or funder-peers.", registry=REGISTRY
)

CONFIG_REVISION = Gauge("loanrouter_config_revision", "The active configuration revision.", registry=REGISTRY)
CONFIG_SINCE = Gauge(
    "loanrouter_config_revision_timestamp_seconds", "When the active revision was made active.", registry=REGISTRY
)
PHASE = Gauge("loanrouter_phase", "1 for what the worker is at.", ["phase"], registry=REGISTRY)
PARTITIONS = Gauge("loanrouter_partitions", "Partition numbers that all workers share out.", registry=REGISTRY)
NEXT_OFFSET = Gauge(
    "loanrouter_next_offset", "The offset up to which an input is done.", ["topic", "partition"], registry=REGISTRY
)
LAG_RECORDS = Gauge(
    "loanrouter_lag_records", "Records of an input not done yet.", ["topic", "partition"], registry=REGISTRY
)
LAG_SECONDS = Gauge(
    "loanrouter_lag_seconds", "How long the oldest of them has waited.", ["topic", "partition"], registry=REGISTRY
)
RECOVERY_RECORDS = Gauge(
    "loanrouter_recovery_remaining_records", "Changelog records still to be read.", ["table"], registry=REGISTRY
)
HELD_BORROWERS = Gauge("loanrouter_held_borrowers", "Borrowers with a drawdown that is held.", registry=REGISTRY)
FUNDER_STATE = Gauge(
    "loanrouter_funder_state", "1 for where the funder stands on the ladder.", ["funder", "state"], registry=REGISTRY
)
FUNDER_MULTIPLIER = Gauge(
    "loanrouter_funder_traffic_multiplier", "Of the funder's weight, by the ladder.", ["funder"], registry=REGISTRY
)
FUNDER_PASS_RATE = Gauge("loanrouter_funder_pass_rate", "Smoothed pass rate.", ["funder", "grade"], registry=REGISTRY)
DETECTOR_MISSES = Gauge(
    "loanrouter_detector_missing_events",
    "Events that a detector lacks before it can alarm.",
    ["funder", "detector", "segment"],
    registry=REGISTRY,
)
FUNDER_WEIGHT = Gauge(
    "loanrouter_funder_weight_share", "Weight by configuration and ladder, of all.", ["funder"], registry=REGISTRY
)
QUOTA_USED_FEN = Gauge("loanrouter_quota_used_fen", "Reserved and lent today.", ["funder"], registry=REGISTRY)
QUOTA_LIMIT_FEN = Gauge("loanrouter_quota_limit_fen", "Quota of a day.", ["funder"], registry=REGISTRY)
QUOTA_USED = Gauge("loanrouter_quota_used_drawdowns", "Reserved and lent today.", ["funder"], registry=REGISTRY)
QUOTA_LIMIT = Gauge("loanrouter_quota_limit_drawdowns", "Quota of a day.", ["funder"], registry=REGISTRY)
