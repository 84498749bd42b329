"""The tables of a report, as words: the terminal and the page show the same ones."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from whatif.estimate import Value
from whatif.told import FunderSide, Report


class Table(NamedTuple):
    """A title, the names of the columns, and rows; the first column is text, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(report: Report) -> list[Table]:
    """All of them."""
    return [_decisions(report), _funders(report), _quotas(report), _outcomes(report), _evidence(report)]


def _decisions(report: Report) -> Table:
    before, after = report.before, report.after
    rules = sorted(before.relaxed.keys() | after.relaxed.keys())

    def row(name: str, one: float, other: float, form: str) -> list[str]:
        return [name, format(one, form), format(other, form), format(other - one, f"+{form}")]

    rows = [
        row("drawdowns", before.drawdowns, after.drawdowns, ",.0f"),
        row("unserved", before.unserved, after.unserved, ",.0f"),
        *(
            row(f"decisions that gave up {rule}", before.relaxed.get(rule, 0), after.relaxed.get(rule, 0), ",.0f")
            for rule in rules
        ),
        row("top funder's share of a borrower", before.top_share, after.top_share, ".1%"),
        row("funders that a borrower went to", before.funders_per_borrower, after.funders_per_borrower, ".2f"),
    ]
    return Table("Decisions", ("", "before", "after", "change"), rows)


def _funders(report: Report) -> Table:
    return _before_and_after(report, "Funders", ("share", "yuan"), _share)


def _share(funder: FunderSide | None) -> list[str]:
    return ["–"] * 2 if funder is None else [f"{funder.share:.1%}", yuan(funder.amount)]


def _quotas(report: Report) -> Table:
    return _before_and_after(report, "Quotas", ("quota used", "full days"), _use)


def _use(funder: FunderSide | None) -> list[str]:
    use = None if funder is None else funder.use
    return ["–"] * 2 if use is None else [f"{use.mean:.1%} (at most {use.highest:.1%})", str(use.full_days)]


def _before_and_after(
    report: Report, title: str, names: Sequence[str], cells: Callable[[FunderSide | None], list[str]]
) -> Table:
    """A row for each funder. Narrow, since it has to fit into a terminal."""
    before, after = report.before.funders, report.after.funders
    columns = [f"{name} {when}" for when in ("before", "after") for name in names]
    funders = sorted(before.keys() | after.keys())
    return Table(title, ("", *columns), [[id_, *cells(before.get(id_)), *cells(after.get(id_))] for id_ in funders])


def _outcomes(report: Report) -> Table:
    outcomes = report.outcomes

    def row(name: str, value: Value, money: bool) -> list[str]:
        form = yuan if money else "{:,.0f}".format
        (low, high), (least, most) = value.after_interval, value.change_interval
        return [
            name,
            form(value.before),
            form(value.after),
            f"{form(low)} – {form(high)}",
            form(value.change),
            f"{form(least)} – {form(most)}",
        ]

    rows = [
        row("loans", outcomes.loans, False),
        row("money lent, yuan", outcomes.amount, True),
        row("fees, yuan", outcomes.fees, True),
    ]
    return Table("Outcomes (estimated, with 95% intervals)", ("", "before", "after", "", "change", ""), rows)


def _evidence(report: Report) -> Table:
    evidence = report.evidence
    rows = [
        ["goes to the same funder, or to nobody both times", f"{evidence.same:,}", "", "", ""],
        ["goes to nobody any more", f"{evidence.unserved:,}", "", "", ""],
        ["goes where no recorded outcome tells", f"{evidence.uncovered:,}", "", "", ""],
        *(
            [
                f"moves to {funder_id}",
                f"{moved.drawdowns:,}",
                f"{moved.outcomes:,}",
                f"{moved.effective_outcomes:,.0f}",
                f"{moved.loan_rate:.1%} ({moved.loan_rate_interval[0]:.1%} – {moved.loan_rate_interval[1]:.1%})",
            ]
            for funder_id, moved in sorted(evidence.moved_to.items())
        ),
        ["no outcome yet (not counted)", f"{evidence.in_flight:,}", "", "", ""],
        ["from before the record: in no ledger", f"{evidence.older:,}", "", "", ""],
    ]
    return Table(
        "What the estimates stand on", ("drawdown", "number", "outcomes", "weigh as much as", "become loans"), rows
    )


def yuan(fen: float) -> str:
    """Fen as whole yuan."""
    return f"{fen / 100:,.0f}"


def window(report: Report) -> list[str]:
    """What a report on the last days only does not know, in sentences; none for a whole record."""
    told = report.window
    if told is None:
        return []
    return [
        f"Only drawdowns requested since {told.since} are counted.",
        f"Grants are known from the beginning, drawdowns, loans and reservations since {told.known_since} only: "
        "rules that look at a borrower's ledger, limits and guarantees do not know older ones.",
    ]
