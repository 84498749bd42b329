"""The dashboard of those who keep the service running."""

from ops.panels import JOB, RATE, Page, Panel, Query, gathered, quantile, rate

_DELAY = "loanrouter_decision_delay_seconds"
_LEFT = "loanrouter_recovery_remaining_records"

SERVICE = Page(
    "service",
    "loanrouter: service",
    "Is every drawdown decided in time, and if not, where does it wait?",
    {
        "Decisions": (
            Panel(
                "Decisions",
                "Published decisions a second, by status.",
                "ops",
                (Query(rate("loanrouter_decisions_total", "status"), "{{status}}"),),
            ),
            Panel(
                "Delay",
                "From the timestamp of the record that caused a decision until it was published. Dots are traces.",
                "s",
                (
                    Query(quantile(0.5, _DELAY), "median"),
                    Query(quantile(0.99, _DELAY), "99 %", exemplars=True),
                ),
            ),
            Panel(
                "Later than 1 s",
                "Share of decisions that miss the objective; 0.1 % may.",
                "percentunit",
                (
                    Query(f"loanrouter:decisions_late:ratio5m{{{JOB}}}", "5 minutes"),
                    Query(f"loanrouter:decisions_late:ratio1h{{{JOB}}}", "1 hour"),
                    Query(f"loanrouter:decisions_late:ratio3d{{{JOB}}}", "3 days"),
                ),
            ),
            Panel(
                "Dead letters",
                "Input that could not be used, a second, by reason.",
                "ops",
                (Query(rate("loanrouter_dead_letters_total", "reason"), "{{reason}}"),),
            ),
        ),
        "Input": (
            Panel(
                "Wait",
                "How long the oldest record of each input has waited, at most.",
                "s",
                (Query(f"max by (topic) (loanrouter:lag_seconds:max{{{JOB}}})", "{{topic}}"),),
            ),
            Panel(
                "Lag",
                "Records that are not done yet.",
                "short",
                (Query(gathered("loanrouter_lag_records", "topic", "sum"), "{{topic}}"),),
            ),
            Panel(
                "Partitions",
                "Partition numbers that a worker holds; together they are those that there are.",
                "short",
                (
                    Query(
                        f'count by (instance) (loanrouter_next_offset{{{JOB}, topic="drawdown-requests"}})',
                        "{{instance}}",
                    ),
                    Query(f"max(loanrouter_partitions{{{JOB}}})", "all there are"),
                ),
            ),
            Panel(
                "Ignored fields",
                "Input fields that the contract does not know, a second: publishers are ahead, or misspell.",
                "ops",
                (Query(rate("loanrouter_unknown_fields_total", "topic"), "{{topic}}"),),
            ),
        ),
        "Work": (
            Panel(
                "Time by stage",
                "Seconds of a second that the workers spend in each stage of a batch.",
                "s",
                (Query(rate("loanrouter_batch_seconds_sum", "stage"), "{{stage}}"),),
            ),
            Panel(
                "Slow batches",
                "99 % of batches took no longer in this stage.",
                "s",
                (Query(quantile(0.99, "loanrouter_batch_seconds", "stage"), "{{stage}}"),),
            ),
            Panel(
                "Batch size",
                "Input records of a batch.",
                "short",
                tuple(
                    Query(quantile(part, "loanrouter_batch_records"), name)
                    for part, name in ((0.5, "median"), (0.99, "99 %"))
                ),
            ),
            Panel(
                "Waits for Redis",
                "Times a second that work waited for the reservation book.",
                "ops",
                (Query(rate("loanrouter_reservation_waits_total", "why"), "{{why}}"),),
            ),
        ),
        "Workers": (
            Panel(
                "Phase",
                "Workers by what they are at.",
                "short",
                (Query(gathered("loanrouter_phase", "phase", "sum"), "{{phase}}"),),
            ),
            Panel(
                "Still to recover",
                "Changelog records to be read before work begins.",
                "short",
                (Query(gathered(_LEFT, "instance, table"), "{{instance}} {{table}}"),),
            ),
            Panel(
                "Rebalances",
                "Times that partitions were assigned, within the interval.",
                "short",
                (Query(f"max(increase(loanrouter_rebalances_total{{{JOB}}}{RATE}))", "rebalances"),),
            ),
            Panel(
                "Writes refused",
                "Writes that Kafka did not take, a second.",
                "ops",
                (Query(rate("loanrouter_producer_errors_total", "error"), "{{error}}"),),
            ),
            Panel(
                "Configuration revision",
                "The active revision; all workers should show the same.",
                "none",
                (Query(gathered("loanrouter_config_revision", "instance"), "{{instance}}"),),
            ),
            Panel(
                "Age of the revision",
                "Since it was made active.",
                "s",
                (Query(f"time() - max(loanrouter_config_revision_timestamp_seconds{{{JOB}}})", "age"),),
            ),
            Panel(
                "Memory",
                "Resident memory of each worker.",
                "bytes",
                (Query(gathered("process_resident_memory_bytes", "instance"), "{{instance}}"),),
            ),
            Panel(
                "CPU",
                "Processor seconds a second of each worker; it can use one.",
                "short",
                (Query(rate("process_cpu_seconds_total", "instance"), "{{instance}}"),),
            ),
        ),
    },
)
