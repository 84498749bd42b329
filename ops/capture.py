"""The dashboard of funders who may capture borrowers."""

from ops.panels import JOB, RATE, Page, Panel, Query, gathered, rate

CAPTURE = Page(
    "capture",
    "loanrouter: capture",
    "Which funders may be taking borrowers away, and what was done about it?",
    {
        "The ladder": (
            Panel(
                "Not normal",
                "Funders that stand elsewhere on the ladder than at normal.",
                "short",
                (
                    Query(
                        "max by (funder, state)"
                        f' (loanrouter_funder_state{{{JOB}, state=~"watch|throttled|paused|probing"}}) == 1',
                        "{{funder}}: {{state}}",
                    ),
                ),
            ),
            Panel(
                "Traffic multiplier",
                "What the ladder makes of a funder's weight.",
                "percentunit",
                (Query(gathered("loanrouter_funder_traffic_multiplier", "funder"), "{{funder}}"),),
            ),
        ),
        "Evidence": (
            Panel(
                "Pass rate",
                "Smoothed pass rate, by grade.",
                "percentunit",
                (Query(gathered("loanrouter_funder_pass_rate", "funder, grade"), "{{funder}} {{grade}}"),),
            ),
            Panel(
                "Walked away",
                "Share of answered drawdowns that the borrower cancelled at the funder's step.",
                "percentunit",
                (
                    Query(
                        rate("loanrouter_outcomes_total", "funder", 'status="cancelled"')
                        + " / "
                        + rate("loanrouter_outcomes_total", "funder", 'status=~"disbursed|declined|cancelled"'),
                        "{{funder}}",
                    ),
                ),
            ),
            Panel(
                "Alerts",
                "Capture alerts within the interval, by funder, detector and level asked for.",
                "short",
                (
                    Query(
                        f"sum by (funder, detector, level) (increase(loanrouter_capture_alerts_total{{{JOB}}}{RATE}))",
                        "{{funder}}: {{detector}}, {{level}}",
                    ),
                ),
            ),
            Panel(
                "Signals",
                "Direct evidence within the interval, by funder and kind.",
                "short",
                (
                    Query(
                        f"sum by (funder, kind) (increase(loanrouter_capture_signals_total{{{JOB}}}{RATE}))",
                        "{{funder}}: {{kind}}",
                    ),
                ),
            ),
        ),
    },
)
