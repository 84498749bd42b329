"""What a worker counts. No customer ever appears in a label."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
Counted = Counter

DECISIONS = Counter("loanrouter_decisions", "Decisions published.", ["status"], registry=REGISTRY)
REPEATS = Counter("loanrouter_repeated_requests", "Repeated requests answered again.", registry=REGISTRY)
RELAXATIONS = Counter("loanrouter_relaxations", "Rotation rules given up in decisions.", ["rule"], registry=REGISTRY)
DEAD_LETTERS = Counter("loanrouter_dead_letters", "Records that could not be used.", ["reason"], registry=REGISTRY)
UNKNOWN_FIELDS = Counter("loanrouter_unknown_fields", "Input fields that were ignored.", ["topic"], registry=REGISTRY)
UNKNOWN_EXCLUSIONS = Counter(
    "loanrouter_unknown_exclusions", "Ids in exclude_funders that are no configured funder.", registry=REGISTRY
)
LATE_DISBURSEMENTS = Counter(
    "loanrouter_late_disbursements", "Loans disbursed after their reservation had ended.", ["funder"], registry=REGISTRY
)
BATCH_SECONDS = Histogram(
    "loanrouter_batch_seconds",
    "Time of one batch by stage.",
    ["stage"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
    registry=REGISTRY,
)
BATCH_RECORDS = Histogram(
    "loanrouter_batch_records", "Records of one batch.", buckets=(1, 3, 10, 30, 100, 300, 1000, 3000), registry=REGISTRY
)
CONFIG_REVISION = Gauge("loanrouter_config_revision", "The active configuration revision.", registry=REGISTRY)
CONFIG_REFUSED = Counter("loanrouter_config_records_refused", "Broken records of rotation-config.", registry=REGISTRY)
STATES_REFUSED = Counter("loanrouter_funder_states_refused", "Broken records of funder-states.", registry=REGISTRY)
BOOK_WAITS = Counter(
    "loanrouter_reservation_waits", "Times that work waited for the reservation book.", ["why"], registry=REGISTRY
)
CHANGELOG_RECORDS = Counter(
    "loanrouter_changelog_records", "Records of its own changelogs that the worker read.", ["table"], registry=REGISTRY
)
