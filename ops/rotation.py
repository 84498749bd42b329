"""The dashboard of where drawdowns go, and what keeps funders out."""

from ops.panels import JOB, Page, Panel, Query, rate

ROTATION = Page(
    "rotation",
    "loanrouter: rotation",
    "Where do drawdowns go, what keeps funders out, and how much room is left?",
    {
        "Flow": (
            Panel(
                "Routed",
                "Drawdowns a second, by funder.",
                "ops",
                (Query(rate("loanrouter_routed_total", "funder"), "{{funder}}"),),
            ),
            Panel(
                "Routed money",
                "Fen a second, by funder.",
                "short",
                (Query(rate("loanrouter_routed_fen_total", "funder"), "{{funder}}"),),
            ),
            Panel(
                "Share above weight",
                "A funder's share of the last hour's drawdowns, less its share of the weights.",
                "percentunit",
                (
                    Query(
                        f"loanrouter:funder_routed:share1h{{{JOB}}}"
                        f" - on (job, funder) max by (job, funder) (loanrouter_funder_weight_share{{{JOB}}})",
                        "{{funder}}",
                    ),
                ),
            ),
            Panel(
                "Reasons",
                "Decisions a second, by status and first reason.",
                "ops",
                (Query(rate("loanrouter_decisions_total", "status, reason"), "{{status}}: {{reason}}"),),
            ),
        ),
        "What keeps funders out": (
            Panel(
                "Exclusions",
                "Funders excluded a second, by rule.",
                "ops",
                (Query(rate("loanrouter_exclusions_total", "rule"), "{{rule}}"),),
            ),
            Panel(
                "Relaxations",
                "Rotation rules given up in routed decisions, a second.",
                "ops",
                (Query(rate("loanrouter_relaxations_total", "rule"), "{{rule}}"),),
            ),
            Panel(
                "On hold",
                "Borrowers with a drawdown that waits for a funder.",
                "short",
                (Query(f"sum(loanrouter_held_borrowers{{{JOB}}})", "borrowers"),),
            ),
            Panel(
                "Unknown exclusions",
                "Ids a second in exclude_funders that are no configured funder.",
                "ops",
                (Query(rate("loanrouter_unknown_exclusions_total", "job"), "ids"),),
            ),
        ),
        "Room": (
            Panel(
                "Quota used",
                "Of the Shanghai day's quota, the fuller of money and number.",
                "percentunit",
                (Query(f"loanrouter:funder_quota_use:ratio{{{JOB}}}", "{{funder}}"),),
            ),
            Panel(
                "Outcomes",
                "What became of routed drawdowns, a second.",
                "ops",
                (Query(rate("loanrouter_outcomes_total", "status"), "{{status}}"),),
            ),
            Panel(
                "Late disbursements",
                "Loans a second that were disbursed after their reservation had ended.",
                "ops",
                (Query(rate("loanrouter_late_disbursements_total", "funder"), "{{funder}}"),),
            ),
            Panel(
                "Repeated requests",
                "Requests a second that were answered again.",
                "ops",
                (Query(rate("loanrouter_repeated_requests_total", "job"), "requests"),),
            ),
        ),
    },
)
